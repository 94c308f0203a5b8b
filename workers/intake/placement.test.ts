import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SlotPlacement } from "./placement.ts";

const options = { slots: 4, maxHeld: 3, passWindowMs: 1000 };

describe("SlotPlacement", () => {
  it("places what fits and tells how many messages to ask for", () => {
    const placement = new SlotPlacement(options);
    expect(placement.pollSize(0)).toBe(3);
    expect(placement.offer({ slots: 3 }, 0)).toBe("placed");
    expect(placement.freeSlots).toBe(1);
    expect(placement.pollSize(0)).toBe(1);
  });

  it("refuses for good what needs more slots than the worker has", () => {
    expect(new SlotPlacement(options).offer({ slots: 5 }, 0)).toBe("oversized");
  });

  it("holds a task that is too big for now and lets smaller ones pass it", () => {
    const placement = new SlotPlacement(options);
    const running = { slots: 3 };
    placement.offer(running, 0);
    expect(placement.offer({ slots: 4 }, 0)).toBe("held");
    expect(placement.offer({ slots: 1 }, 999)).toBe("placed");
  });

  it("lets nothing pass once the window is over, and then runs the held task first", () => {
    const placement = new SlotPlacement(options);
    const running = { slots: 3 };
    const big = { slots: 4 };
    placement.offer(running, 0);
    placement.offer(big, 0);
    expect(placement.pollSize(1000)).toBe(0);
    expect(placement.offer({ slots: 1 }, 1000)).toBe("held");
    placement.release(running);
    expect(placement.placeHeld(1000)).toEqual([big]);
  });

  it("gives back what is more than may be held", () => {
    const placement = new SlotPlacement(options);
    placement.offer({ slots: 4 }, 0);
    for (let n = 0; n < 3; n++) expect(placement.offer({ slots: 2 }, 0)).toBe("held");
    expect(placement.pollSize(0)).toBe(0);
    expect(placement.offer({ slots: 2 }, 0)).toBe("surplus");
  });

  it("never exceeds the slots, and leaves no held task waiting that fits within the window", () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant("offer" as const), slots: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ kind: fc.constant("end" as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant("time" as const), ms: fc.integer({ min: 0, max: 800 }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const placement = new SlotPlacement<{ slots: number }>({ slots: 6, maxHeld: 4, passWindowMs: 1000 });
        const running: { slots: number }[] = [];
        const waiting: { slots: number; sinceMs: number }[] = [];
        let nowMs = 0;
        for (const step of events) {
          if (step.kind === "time") nowMs += step.ms;
          if (step.kind === "offer") {
            const item = { slots: step.slots, sinceMs: nowMs };
            const placed = placement.offer(item, nowMs);
            if (placed === "placed") running.push(item);
            if (placed === "held") waiting.push(item);
          }
          if (step.kind === "end" && running.length > 0) {
            const [ended] = running.splice(step.pick % running.length, 1);
            if (ended) placement.release(ended);
          }
          for (const item of placement.placeHeld(nowMs)) {
            running.push(item);
            waiting.splice(waiting.indexOf(item as (typeof waiting)[number]), 1);
          }
          const used = running.reduce((sum, item) => sum + item.slots, 0);
          expect(used).toBeLessThanOrEqual(6);
          expect(placement.freeSlots).toBe(6 - used);
          const first = waiting[0];
          // Inside the window everything that fits runs; after it, the first one still does as soon as it fits.
          if (first && nowMs - first.sinceMs < 1000) {
            expect(waiting.filter((item) => item.slots <= placement.freeSlots)).toEqual([]);
          } else if (first) expect(first.slots).toBeGreaterThan(placement.freeSlots);
        }
      }),
    );
  });

  it("starts all it holds in bounded time and keeps its slots full, whatever keeps arriving", () => {
    const [slots, maxHeld, passWindowMs, longestMs, tickMs] = [6, 3, 1_000, 300, 20];
    const arrival = fc.record({
      slots: fc.integer({ min: 1, max: slots }),
      runMs: fc.integer({ min: 1, max: longestMs }),
    });
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 1, maxLength: 30 }), (arrivals) => {
        const placement = new SlotPlacement<(typeof arrivals)[number]>({ slots, maxHeld, passWindowMs });
        const endsAtMs = new Map<(typeof arrivals)[number], number>();
        const held = new Map<(typeof arrivals)[number], { sinceMs: number; startsByMs: number }>();
        for (let nowMs = 0, taken = 0; nowMs < 4_000; nowMs += tickMs) {
          for (const [item, endMs] of endsAtMs) {
            if (endMs > nowMs) continue;
            placement.release(item);
            endsAtMs.delete(item);
          }
          for (const item of placement.placeHeld(nowMs)) {
            held.delete(item);
            endsAtMs.set(item, nowMs + item.runMs);
          }
          // The queue never runs dry: the worker gets as many as it asks for.
          while (placement.pollSize(nowMs) > 0) {
            // In the end small ones only, which could pass a big one for ever.
            const small = { slots: 1, runMs: 1 + ((taken * 97) % longestMs) };
            const item = { ...(arrivals[taken++] ?? small) };
            if (placement.offer(item, nowMs) === "placed") endsAtMs.set(item, nowMs + item.runMs);
            // Each of those before it may have to wait until everything that ran has ended.
            else
              held.set(item, {
                sinceMs: nowMs,
                startsByMs: nowMs + passWindowMs + (held.size + 1) * (longestMs + tickMs),
              });
          }
          for (const { startsByMs } of held.values()) expect(nowMs).toBeLessThanOrEqual(startsByMs);
          const [first] = held.values();
          const isWithinWindow = first === undefined || nowMs - first.sinceMs < passWindowMs;
          if (!isWithinWindow) continue;
          expect([...held.keys()].filter((item) => item.slots <= placement.freeSlots)).toEqual([]);
          if (held.size < maxHeld) expect(placement.freeSlots).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });
});
