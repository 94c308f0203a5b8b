import { describe, expect, it } from "vitest";
import type { Why } from "../../shared/api/schemas.ts";
import { plainStyle } from "../terminal/style.ts";
import { renderWhy } from "./render-why.ts";

const nowMs = Date.UTC(2026, 0, 5, 8);
const isoAgo = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString();

function render(change: Partial<Why>, width = 100): string {
  const base: Why = {
    job: "j-1",
    task: "unit",
    status: "queued",
    code: "no_free_slots",
    summary: "",
    facts: [],
    at: "",
  };
  const options = { width, style: plainStyle, nowMs, hint: (command: string) => `sluice ${command}` };
  return renderWhy({ ...base, ...change }, options).join("\n");
}

describe("renderWhy", () => {
  it("tells why a task waits, and what that rests on", () => {
    const pool = { pool: "default", workers: 2, draining: 1, slots: 4, slotsUsed: 4, largestWorker: 4, more: false };
    const text = render({
      summary: "unit waits for a free slot in pool default",
      facts: [
        { kind: "pool", ...pool },
        { kind: "queue", tasksBefore: 12, jobsBefore: 1, more: false, sameJob: 3 },
        { kind: "need", task: "build", status: "running" },
      ],
    });
    expect(text).toContain("· j-1/unit".replace("· ", "·  "));
    expect(text).toContain("queued  no_free_slots\n   unit waits for a free slot in pool default\n");
    expect(text).toMatch(/pool +default: 2 workers \(1 draining\), 4 of 4 slots used, the largest has 4/);
    expect(text).toMatch(/before it +12 tasks of 1 earlier job; 3 other tasks of this job/);
    expect(text).toMatch(/needs +build \(running\)/);
  });

  it("shows the end of the log and the attempts of a task that failed", () => {
    const reason = { code: "worker_lost", detail: "worker w-0 went", fault: "infrastructure" } as const;
    const text = render({
      status: "failed",
      code: "failed",
      summary: "unit failed at attempt 2: build exited with 42",
      facts: [
        { kind: "reason", code: "exit_code", detail: "build exited with 42", fault: "user" },
        { kind: "step", step: 1, name: "build", steps: 2, exitCode: 42 },
        {
          kind: "log",
          attempt: 2,
          lines: [{ step: 1, at: isoAgo(1), stream: "stderr", text: "\u001b[2Jboom", cut: true }],
        },
        { kind: "attempt", attempt: 1, workerId: "w-0", claimedAt: isoAgo(90), endedAt: isoAgo(60), reason },
        {
          kind: "attempt",
          attempt: 2,
          workerId: "w-1",
          claimedAt: isoAgo(50),
          endedAt: isoAgo(20),
          status: "failed",
          exitCode: 42,
        },
      ],
    });
    expect(text).toContain("⚠️ j-1/unit  with failures  failed");
    expect(text).toContain("last lines of step 1, attempt 2:\n   …boom\n");
    expect(text).toMatch(/1 +given back +30 s +w-0 +worker w-0 went \(infrastructure\)/);
    expect(text).toMatch(/2 +with failures +30 s +w-1/);
    expect(text).toMatch(/exit_code; at fault: the task or its job file/);
    expect(text).toContain("logs: sluice logs j-1 unit");
  });

  it("leaves out evidence of a kind that it does not know", () => {
    const facts = [{ kind: "weather", sky: "clear" }] as unknown as Why["facts"];
    expect(render({ summary: "unit waits", facts }).split("\n")).toHaveLength(2);
  });
});
