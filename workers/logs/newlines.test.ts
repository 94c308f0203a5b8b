import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countNewlines } from "./newlines.ts";

describe("countNewlines", () => {
  it("counts them in any part of any bytes, wherever these begin in memory", () => {
    const bytes = fc
      .uint8Array({ maxLength: 70, max: 255 })
      .map((all) => all.map((byte) => (byte % 3 === 0 ? 10 : byte)));
    fc.assert(
      fc.property(bytes, fc.nat(9), fc.nat(70), fc.nat(70), (all, offset, from, to) => {
        const buffer = Buffer.from(new ArrayBuffer(offset + all.length), offset);
        buffer.set(all);
        const [start, end] = [Math.min(from, all.length), Math.min(to, all.length)];
        expect(countNewlines(buffer, start, end)).toBe(all.slice(start, end).filter((byte) => byte === 10).length);
      }),
    );
  });
});
