import { describe, expect, it } from "vitest";
import { Alarm } from "./clock.ts";
import { FakeClock } from "./fake-clock.ts";

function makeAlarm() {
  const clock = new FakeClock();
  const rungAtMs: number[] = [];
  const alarm = new Alarm(clock, () => rungAtMs.push(clock.now()));
  return { clock, alarm, rungAtMs, startMs: clock.now() };
}

describe("Alarm", () => {
  it("rings once at its time, however far away", () => {
    const { clock, alarm, rungAtMs, startMs } = makeAlarm();
    alarm.set(startMs + 100_000);
    clock.advance(99_999);
    expect(rungAtMs).toEqual([]);
    clock.advance(1);
    clock.advance(100_000);
    expect(rungAtMs).toEqual([startMs + 100_000]);
    expect(clock.timerCount).toBe(0);
  });

  it("is moved and switched off", () => {
    const { clock, alarm, rungAtMs, startMs } = makeAlarm();
    alarm.set(startMs + 10);
    alarm.set(startMs + 20);
    clock.advance(15);
    expect(rungAtMs).toEqual([]);
    alarm.set(undefined);
    clock.advance(100);
    expect(rungAtMs).toEqual([]);
    expect(clock.timerCount).toBe(0);
  });

  it("keeps the earlier of two times where only an earlier one counts", () => {
    const { clock, alarm, rungAtMs, startMs } = makeAlarm();
    alarm.setIfEarlier(startMs + 10);
    alarm.setIfEarlier(startMs + 20);
    clock.advance(10);
    expect(rungAtMs).toEqual([startMs + 10]);
  });

  it("rings soon after a sleep in which its time went by", () => {
    const { clock, alarm, rungAtMs, startMs } = makeAlarm();
    alarm.set(startMs + 3_600_000);
    clock.sleep(7_200_000);
    clock.advance(30_000);
    expect(rungAtMs).toHaveLength(1);
  });
});
