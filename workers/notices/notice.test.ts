import { describe, expect, it } from "vitest";
import { type Notice, planForNotices } from "./notice.ts";

const minute = 60_000;
const nowMs = Date.parse("2026-11-22T10:00:00Z");
const config = { rebalance: "finish", eventLeadMs: 15 * minute } as const;

function plan(notices: readonly Notice[], rebalance: "finish" | "drain" | "ignore" = "finish") {
  return planForNotices(notices, { ...config, rebalance }, nowMs);
}

describe("planForNotices", () => {
  it("drains at once where the machine is taken away, by the earliest end", () => {
    const ends = [5, 2].map(
      (minutes): Notice => ({ kind: "ends", detail: `in ${minutes}`, atMs: nowMs + minutes * minute }),
    );
    expect(plan([...ends, { kind: "at_risk", detail: "risk" }])).toEqual({
      kind: "drain",
      cause: { kind: "interrupted", detail: "in 2", endsAtMs: nowMs + 2 * minute },
    });
  });

  it("takes no more tasks some time before an event, and drains two minutes before it", () => {
    const event = (minutes: number): Notice => ({ kind: "event", detail: "reboot", atMs: nowMs + minutes * minute });
    expect(plan([event(24 * 60)])).toEqual({ kind: "go_on" });
    expect(plan([event(15)])).toMatchObject({ kind: "finish", detail: "reboot" });
    expect(plan([event(3)])).toMatchObject({ kind: "finish" });
    expect(plan([event(2)])).toMatchObject({ kind: "drain", cause: { endsAtMs: nowMs + 2 * minute } });
    expect(plan([event(-1)])).toMatchObject({ kind: "drain" });
  });

  it("does with a rebalance recommendation what the worker is told to", () => {
    const risk: Notice = { kind: "at_risk", detail: "risk" };
    expect(plan([risk])).toMatchObject({ kind: "finish" });
    expect(plan([risk], "ignore")).toEqual({ kind: "go_on" });
    expect(plan([risk], "drain")).toMatchObject({ kind: "drain", cause: { kind: "interrupted" } });
  });

  it("goes on without notices", () => {
    expect(plan([])).toEqual({ kind: "go_on" });
  });
});
