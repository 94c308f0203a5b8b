import { describe, expect, it } from "vitest";
import { classifyExitCode } from "./exit-code.ts";
import { maxReasonDetailLength, reasonCodes, reasonFor } from "./reason.ts";
import { roleIncludes, roles } from "./roles.ts";

describe("an exit code", () => {
  it("0 completes the task", () => expect(classifyExitCode(0, "test")).toEqual({ state: "completed" }));

  it("42 fails it with a warning", () => {
    expect(classifyExitCode(42, "test")).toEqual({
      state: "failed",
      warning: true,
      reason: { code: "exit_code", detail: "test exited with 42: failures", fault: "user" },
    });
  });

  it("43 skips it", () => expect(classifyExitCode(43, "test")).toMatchObject({ state: "skipped" }));

  it.each([1, 2, 7, 41, 44, 127, 137, 255])("%i fails it", (exitCode) => {
    expect(classifyExitCode(exitCode, "test")).toMatchObject({
      state: "failed",
      warning: false,
      reason: { detail: `test exited with ${exitCode}` },
    });
  });
});

describe("a reason", () => {
  it("says whose fault it is, for every code", () => {
    for (const code of reasonCodes) expect(["user", "infrastructure"]).toContain(reasonFor(code, "").fault);
  });

  it("keeps a detail of bounded length, and shows that it was cut", () => {
    expect(reasonFor("internal", "short").detail).toBe("short");
    expect(reasonFor("internal", "x".repeat(maxReasonDetailLength)).detail).toHaveLength(maxReasonDetailLength);
    const cut = reasonFor("internal", "x".repeat(maxReasonDetailLength + 1)).detail;
    expect(cut).toHaveLength(maxReasonDetailLength);
    expect(cut.endsWith("…")).toBe(true);
    expect(reasonFor("internal", "123456", 5).detail).toBe("1234…");
  });
});

describe("roles", () => {
  it("include those before them, and a worker's stands apart", () => {
    const included = Object.fromEntries(
      roles.map((role) => [role, roles.filter((other) => roleIncludes(role, other))]),
    );
    expect(included).toEqual({
      viewer: ["viewer"],
      submitter: ["viewer", "submitter"],
      operator: ["viewer", "submitter", "operator"],
      admin: ["viewer", "submitter", "operator", "admin"],
      worker: ["worker"],
    });
  });
});
