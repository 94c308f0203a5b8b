import { describe, expect, it } from "vitest";
import { readAhead } from "./read-ahead.ts";

async function* count(upTo: number, onEnd: () => void = () => undefined) {
  try {
    for (let number = 0; number < upTo; number++) yield number;
  } finally {
    onEnd();
  }
}

describe("readAhead", () => {
  it("works on some items at once and hands the results out in order", async () => {
    const begun: number[] = [];
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const work = async (item: number) => {
      begun.push(item);
      await gates[item]?.promise;
      return item * 10;
    };
    const results = readAhead(count(5), work, 2);
    const first = results.next();
    gates[1]?.resolve();
    await new Promise(setImmediate);
    expect(begun).toEqual([0, 1]);
    for (const { resolve } of gates) resolve();
    expect((await first).value).toBe(0);
    expect(await Array.fromAsync(results)).toEqual([10, 20, 30, 40]);
  });

  it("hands out a failure in its turn, and lets its source go when it is left", async () => {
    let ends = 0;
    const work = async (item: number) => {
      if (item === 1) throw new Error("no such thing");
      return item;
    };
    const results = readAhead(
      count(9, () => ends++),
      work,
      3,
    );
    expect((await results.next()).value).toBe(0);
    await expect(results.next()).rejects.toThrow("no such thing");
    expect(ends).toBe(1);
  });
});
