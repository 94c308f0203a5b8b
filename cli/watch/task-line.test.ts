import { describe, expect, it } from "vitest";
import { viewTask } from "../../shared/api-client/job-view.ts";
import { explainWaiting } from "./task-line.ts";

const pending = { task: "c", status: "pending" as const, slots: 1, attempt: 0, createdAt: "2026-01-01T00:00:00.000Z" };

describe("a pending task", () => {
  it("says which tasks it waits for, and how many more", () => {
    expect(explainWaiting(viewTask({ ...pending, waitingFor: ["b"], waitingForCount: 1 }))).toBe("waits for b");
    expect(explainWaiting(viewTask({ ...pending, waitingFor: ["x", "y"], waitingForCount: 1_002 }))).toBe(
      "waits for x, y and 1,000 more",
    );
  });
});
