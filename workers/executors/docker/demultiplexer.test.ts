import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LogStream } from "../../logs/line-cutter.ts";
import { Demultiplexer } from "./demultiplexer.ts";

function frame(stream: LogStream, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream === "stderr" ? 2 : 1;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

describe("Demultiplexer", () => {
  it("joins neighbouring frames of a stream and keeps the order of the streams", () => {
    const read = Buffer.concat([
      frame("stdout", "a\n"),
      frame("stdout", "b\n"),
      frame("stderr", "oops\n"),
      frame("stdout", "c\n"),
    ]);
    expect(new Demultiplexer().push(read).map((run) => [run.stream, run.bytes.toString()])).toEqual([
      ["stdout", "a\nb\n"],
      ["stderr", "oops\n"],
      ["stdout", "c\n"],
    ]);
  });

  it("tells whether what it was given ends between two frames", () => {
    const demultiplexer = new Demultiplexer();
    const read = frame("stdout", "ab");
    const isInside = [0, 3, 8, 9].map((end, at, ends) => {
      demultiplexer.push(Buffer.from(read.subarray(ends[at - 1] ?? 0, end)));
      return demultiplexer.isInsideFrame;
    });
    demultiplexer.push(Buffer.from(read.subarray(9)));
    expect([...isInside, demultiplexer.isInsideFrame]).toEqual([false, true, true, true, false]);
  });

  it("gives the same bytes in the same order however the stream is read", () => {
    const frames = fc.array(fc.tuple(fc.constantFrom<LogStream>("stdout", "stderr"), fc.string({ maxLength: 20 })));
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (writes, sizes) => {
        const bytes = Buffer.concat(writes.map(([stream, text]) => frame(stream, text)));
        const demultiplexer = new Demultiplexer();
        let seen = "";
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          for (const run of demultiplexer.push(Buffer.from(bytes.subarray(at, at + size)))) {
            for (const byte of run.bytes) seen += `${run.stream}:${byte} `;
          }
          at += size;
        }
        let sent = "";
        for (const [stream, text] of writes) for (const byte of Buffer.from(text)) sent += `${stream}:${byte} `;
        expect(seen).toBe(sent);
      }),
    );
  });
});
