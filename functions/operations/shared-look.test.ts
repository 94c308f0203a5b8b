import { describe, expect, it } from "vitest";
import { createSharedLook } from "./shared-look.ts";

/** Looks that each answer their number, at a clock that the test moves. */
function countLooks(fail: (look: number) => boolean = () => false) {
  const state = { nowMs: 1000, looks: 0 };
  const look = async () => {
    state.looks += 1;
    const mine = state.looks;
    await Promise.resolve();
    if (fail(mine)) throw new Error(`look ${mine} failed`);
    return mine;
  };
  return { state, shared: createSharedLook(look, 100, () => state.nowMs) };
}

describe("a shared look", () => {
  it("is one for all who ask at once or within its time, and a new one afterwards", async () => {
    const { state, shared } = countLooks();
    expect(await Promise.all([shared.take(), shared.take()])).toEqual([1, 1]);
    state.nowMs += 99;
    expect(await shared.take()).toBe(1);
    state.nowMs += 1;
    expect(await shared.take()).toBe(2);
    shared.forget();
    expect(await shared.take()).toBe(3);
  });

  it("is taken again where the clock was set back", async () => {
    const { state, shared } = countLooks();
    await shared.take();
    state.nowMs -= 500;
    expect(await shared.take()).toBe(2);
  });

  it("that hangs is waited for by those who asked in its first ten seconds", async () => {
    let nowMs = 0;
    const looks: ((value: string) => void)[] = [];
    const shared = createSharedLook(
      () => new Promise<string>((resolve) => void looks.push(resolve)),
      100,
      () => nowMs,
    );
    const first = [shared.take()];
    nowMs = 9_999;
    first.push(shared.take());
    nowMs = 10_000;
    const second = shared.take();
    looks[1]?.("second");
    expect(await second).toBe("second");
    looks[0]?.("first");
    expect(await Promise.all(first)).toEqual(["first", "first"]);
    expect(await shared.take()).toBe("second");
  });

  it("that failed is told to those who waited for it, and not remembered", async () => {
    const { shared } = countLooks((look) => look === 1);
    const both = await Promise.allSettled([shared.take(), shared.take()]);
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(await shared.take()).toBe(2);
  });
});
