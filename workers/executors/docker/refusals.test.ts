import { describe, expect, it } from "vitest";
import { explainRefusal } from "./refusals.ts";

function refusal(statusCode: number, message: string): Error {
  return Object.assign(new Error(`(HTTP code ${statusCode}) ${message}`), { statusCode, json: { message } });
}

describe("explainRefusal", () => {
  it.each([
    [500, "Cannot mkdir: /etc/passwd is not a directory"],
    [400, "No command specified"],
    [400, "invalid environment variable"],
    [500, "OCI runtime create failed: mount tmpfs on /etc/passwd: not a directory: unknown"],
  ])("gives the user what no other worker would run either: %d %s", (status, message) => {
    expect(explainRefusal(refusal(status, message), { name: "the step", isService: false })).toEqual({
      code: "exit_code",
      detail: `Docker refused to run the step: ${message}`,
      fault: "user",
    });
    expect(explainRefusal(refusal(status, message), { name: "service s", isService: true })).toMatchObject({
      code: "service_unhealthy",
      fault: "user",
    });
  });

  it.each([
    [500, "no space left on device"],
    [409, "cannot join network of a non running container"],
  ])("has what may pass tried again: %d %s", (status, message) => {
    const reason = explainRefusal(refusal(status, message), { name: "the step", isService: false });
    expect(reason).toMatchObject({ code: "internal", fault: "infrastructure" });
  });
});
