import { describe, expect, it } from "vitest";
import { type TaskView, viewTask } from "../../shared/api-client/job-view.ts";
import type { ReasonCode } from "../../shared/domain/reason.ts";
import { blankDetails, groupReasons, reasonGroupOf } from "./reason-groups.ts";

function ended(task: string, code: ReasonCode, detail: string, exitCode?: number): TaskView {
  const status = code === "dependency_failed" ? "skipped" : "failed";
  const exit = exitCode === undefined ? {} : { exitCode };
  return viewTask({ task, status, attempt: 1, reason: { code, detail, fault: "user" }, ...exit });
}

describe("the groups of reasons", () => {
  it("take what differs in numbers and ids only as one, the largest first", () => {
    const groups = groupReasons([
      viewTask({ task: "ok", status: "completed", attempt: 1 }),
      viewTask({ task: "on", status: "running", attempt: 1 }),
      ended("a", "out_of_memory", "step 2 used more than 512 MB"),
      ended("b", "dependency_failed", "needs t17, which failed"),
      ended("c", "dependency_failed", "needs t4, which failed"),
      ended("d", "dependency_failed", "needs t4, which timed out"),
    ]);
    expect(groups.map(({ code, example, tasks }) => [code, example, tasks.map(({ task }) => task)])).toEqual([
      ["dependency_failed", "needs t17, which failed", ["b", "c"]],
      ["out_of_memory", "step 2 used more than 512 MB", ["a"]],
      ["dependency_failed", "needs t4, which timed out", ["d"]],
    ]);
  });

  it("tell exit codes apart, and a task again once it has changed", () => {
    const one = ended("a", "exit_code", "step exited with 1", 1);
    const two = ended("b", "exit_code", "step exited with 2", 2);
    expect(groupReasons([one, two])).toHaveLength(2);
    expect(reasonGroupOf({ ...one, exitCode: 2 })).toBe(reasonGroupOf(two));
    expect(reasonGroupOf({ ...one, status: "queued" })).toBeUndefined();
  });

  it("blank ids, digests, addresses and times, and no words", () => {
    expect(blankDetails("w-01m81myhzw1x2j107psgr2jj1t of 10.0.0.7:443 at 2026-01-05T08:00:00.123Z")).toBe(
      "w-# of # at #-#-#T#Z",
    );
    expect(blankDetails("image sha256:9f86d081884c7d65 was not facade 0xdeadbeef")).toBe(
      "image sha#:# was not facade #",
    );
    expect(blankDetails("request 9a705633-bece-4e67-9b7e-2d25d90879ec failed")).toBe("request # failed");
  });
});
