const newline = 0x0a;
/** A newline in each of four bytes. */
const newlines = 0x0a0a0a0a;
const low = 0x7f7f7f7f;

/**
 * Counts newlines four bytes at a time: this looks at every byte that a step prints, and takes a third of the time of a
 * loop over bytes. (A native search wins only for lines of more than 80 bytes, and takes three times as long for short ones.)
 */
export function countNewlines(bytes: Buffer, start: number, end: number): number {
  let count = 0;
  let at = start;
  for (; at < end && (bytes.byteOffset + at) % 4 !== 0; at++) if (bytes[at] === newline) count++;
  if (at >= end) return count;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >> 2);
  const { length } = words;
  for (let index = 0; index < length; index++) {
    const differing = (words[index] as number) ^ newlines;
    // The highest bit of each byte that is 0, and no other bit.
    const hits = ~(((differing & low) + low) | differing | low);
    if (hits !== 0) count += Math.imul(hits >>> 7, 0x01010101) >>> 24;
  }
  for (at += length * 4; at < end; at++) if (bytes[at] === newline) count++;
  return count;
}
