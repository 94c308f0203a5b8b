/** Texts at most for which two bytes tell enough; of more, most pairs of letters stand in one of them. */
const pairsSuffice = 64;
const pairBits = 15;
const tripleBits = 18;
const pairMask = (1 << pairBits) - 1;
const tripleMask = (1 << tripleBits) - 1;

/**
 * Finds where one of many texts may start (Wu and Manber's search): of the last bytes of a window it knows how far the
 * window may move on without passing over a text, so that most bytes are never looked at. The window is as long as the
 * shortest text: the longer that is, the faster.
 */
export class WindowSearch {
  readonly #window: number;
  readonly #shifts: Uint8Array;
  readonly #takesTriples: boolean;

  /** Texts of at least three bytes and at most 255; there is at least one. */
  constructor(texts: readonly Uint8Array[]) {
    this.#window = texts.reduce((least, text) => Math.min(least, text.length), 255);
    this.#takesTriples = texts.length > pairsSuffice;
    const block = this.#takesTriples ? 3 : 2;
    const shifts = new Uint8Array(1 << (this.#takesTriples ? tripleBits : pairBits)).fill(this.#window - block + 1);
    for (const text of texts) {
      for (let last = block - 1; last < this.#window; last++) {
        const hash = this.#takesTriples ? hashTriple(text, last) : hashPair(text, last);
        shifts[hash] = Math.min(shifts[hash] as number, this.#window - 1 - last);
      }
    }
    this.#shifts = shifts;
  }

  /** Hands out each place where a text may start, in order; where it hands out none, none starts. */
  find(source: Uint8Array, take: (start: number) => void): void {
    if (this.#takesTriples) this.#findByTriples(source, take);
    else this.#findByPairs(source, take);
  }

  // Twice the same loop: with the block's length as a variable it is half as fast.
  #findByPairs(source: Uint8Array, take: (start: number) => void): void {
    const shifts = this.#shifts;
    const toStart = this.#window - 1;
    const length = source.length;
    for (let last = toStart; last < length; ) {
      const shift = shifts[hashPair(source, last)] as number;
      if (shift !== 0) last += shift;
      else take(last++ - toStart);
    }
  }

  #findByTriples(source: Uint8Array, take: (start: number) => void): void {
    const shifts = this.#shifts;
    const toStart = this.#window - 1;
    const length = source.length;
    for (let last = toStart; last < length; ) {
      const shift = shifts[hashTriple(source, last)] as number;
      if (shift !== 0) last += shift;
      else take(last++ - toStart);
    }
  }
}

function hashPair(source: Uint8Array, last: number): number {
  return (((source[last - 1] as number) << 7) ^ (source[last] as number)) & pairMask;
}

function hashTriple(source: Uint8Array, last: number): number {
  const first = (source[last - 2] as number) << 11;
  return (first ^ ((source[last - 1] as number) << 6) ^ (source[last] as number)) & tripleMask;
}
