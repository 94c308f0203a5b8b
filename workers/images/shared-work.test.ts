import { describe, expect, it } from "vitest";
import { SharedWork } from "./shared-work.ts";

const never = new AbortController().signal;

describe("SharedWork", () => {
  it("does the work once for all who ask meanwhile, and again for who asks later", async () => {
    const shared = new SharedWork<number>();
    let runs = 0;
    const work = async () => ++runs;
    expect(await Promise.all([shared.join("a", never, work), shared.join("a", never, work)])).toEqual([1, 1]);
    expect(await shared.join("a", never, work)).toBe(2);
  });

  it("goes on while one still waits, and ends when the last has gone", async () => {
    const shared = new SharedWork<void>();
    let stopped = false;
    const work = (signal: AbortSignal) =>
      new Promise<void>((_, reject) =>
        signal.addEventListener("abort", () => {
          stopped = true;
          reject(signal.reason);
        }),
      );
    const first = new AbortController();
    const second = new AbortController();
    const waits = [shared.join("a", first.signal, work), shared.join("a", second.signal, work)];
    first.abort(new Error("first left"));
    await expect(waits[0]).rejects.toThrow("first left");
    expect(stopped).toBe(false);
    second.abort(new Error("second left"));
    await expect(waits[1]).rejects.toThrow("second left");
    expect(stopped).toBe(true);
  });

  it("tells everybody of the failure", async () => {
    const shared = new SharedWork<void>();
    const work = () => Promise.reject(new Error("broken"));
    const both = await Promise.allSettled([shared.join("a", never, work), shared.join("a", never, work)]);
    expect(both.map((result) => result.status)).toEqual(["rejected", "rejected"]);
  });
});
