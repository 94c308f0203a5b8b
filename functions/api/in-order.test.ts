import { describe, expect, it } from "vitest";
import { eventPageSchema, jobSchema } from "../../shared/api/schemas.ts";
import { inOrder } from "./in-order.ts";

/** Turns the keys of all maps in a value round. */
function reverseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, part]) => [key, reverseKeys(part)]),
  );
}

const counts = { pending: 0, queued: 1, running: 0, completed: 0, failed: 0, aborted: 0, skipped: 0, timed_out: 0 };
const job = {
  job: "j",
  name: "n",
  pool: "p",
  status: "queued",
  total: 1,
  counts,
  createdAt: "c",
  submittedBy: "s",
  abort: "never",
  cancel: { cause: "user", detail: "d", at: "a" },
  reasons: { exit_code: 1, cancelled: 2 },
  lastEvent: 2,
} as const;
const at = "2026-01-05T08:00:00.000Z";
const reason = { code: "cancelled", detail: "d", fault: "user" } as const;
const moved = {
  v: 1,
  seq: 1,
  jobId: "j",
  at,
  type: "task.transition",
  task: "a",
  from: "queued",
  to: "aborted",
} as const;

describe("answers", () => {
  it.each([
    ["a job", jobSchema, job],
    ["a page of events", eventPageSchema, { events: [{ ...moved, attempt: 0, reason }], next: 1 }],
  ] as const)("have their keys in one order: %s", (_what, schema, answer) => {
    const reversed = reverseKeys(answer) as never;
    expect(JSON.stringify(reversed)).not.toBe(JSON.stringify(answer));
    expect(JSON.stringify(inOrder(schema, reversed))).toBe(JSON.stringify(answer));
  });

  it("that are not as the schema says are told all the same", () => {
    const odd = { ...job, status: "unheard-of" } as never;
    expect(inOrder(jobSchema, odd)).toBe(odd);
  });
});
