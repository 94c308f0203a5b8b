import { Transform } from "node:stream";

/** Passes a stream through and tells how many bytes have passed. */
export function countBytes(onProgress: (bytes: number) => void): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      onProgress(bytes);
      done(null, chunk);
    },
  });
}
