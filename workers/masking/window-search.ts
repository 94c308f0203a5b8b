/** Texts at most for which two bytes tell enough; of more, most pairs of letters stand in one of them. */
const pairsSuffice = 64;
const pairBits = 15;
const tripleBits = 18;
const pairMask = (1 << pairBits) - 1;
const tripleMask = (1 << tripleBits) - 1;
/** One bit for each place in a window. */
const longestWindow = 32;

/**
 * Finds where one of many texts may start. Every so many bytes it looks at a block of two or three: in a window as long as
 * the shortest text there is just one such look, so a text cannot be passed over, and most bytes are never looked at. The
 * looks do not depend on each other, which a processor can do several at a time (a search that moves on by what it saw,
 * as Wu and Manber's, takes fewer and waits for each: six times as long for texts of four bytes).
 */
export class WindowSearch {
  readonly #window: number;
  /** By the hash of a block: 1 where it stands in one of the texts. */
  readonly #known: Uint8Array;
  /** By the hash of a block: a bit for each offset in a text at which it ends. */
  readonly #offsets: Uint32Array;
  readonly #takesTriples: boolean;

  /** Texts of at least three bytes; there is at least one. */
  constructor(texts: readonly Uint8Array[]) {
    this.#window = texts.reduce((least, text) => Math.min(least, text.length), longestWindow);
    this.#takesTriples = texts.length > pairsSuffice;
    const block = this.#takesTriples ? 3 : 2;
    const size = 1 << (this.#takesTriples ? tripleBits : pairBits);
    this.#known = new Uint8Array(size);
    this.#offsets = new Uint32Array(size);
    for (const text of texts) {
      for (let last = block - 1; last < this.#window; last++) {
        const hash = this.#takesTriples ? hashTriple(text, last) : hashPair(text, last);
        this.#known[hash] = 1;
        this.#offsets[hash] = (this.#offsets[hash] as number) | (1 << last);
      }
    }
  }

  /** Hands out each place where a text may start, in order; where it hands out none, none starts. */
  find(source: Uint8Array, take: (start: number) => void): void {
    if (this.#takesTriples) this.#findByTriples(source, take);
    else this.#findByPairs(source, take);
  }

  // Twice the same loop, with the hashes of below written out: a call or a variable block length costs half the speed.
  #findByPairs(source: Uint8Array, take: (start: number) => void): void {
    const known = this.#known;
    const step = this.#window - 1;
    const { length } = source;
    for (let last = this.#window - 1; last < length; last += step) {
      const hash = (((source[last - 1] as number) << 7) ^ (source[last] as number)) & pairMask;
      if (known[hash] === 1) this.#takeStarts(hash, last, take);
    }
  }

  #findByTriples(source: Uint8Array, take: (start: number) => void): void {
    const known = this.#known;
    const step = this.#window - 2;
    const { length } = source;
    for (let last = this.#window - 1; last < length; last += step) {
      const start = (source[last - 2] as number) << 11;
      const hash = (start ^ ((source[last - 1] as number) << 6) ^ (source[last] as number)) & tripleMask;
      if (known[hash] === 1) this.#takeStarts(hash, last, take);
    }
  }

  /** The texts that hold the block begin so many bytes before its end: the farthest comes first. */
  #takeStarts(hash: number, last: number, take: (start: number) => void): void {
    for (let offsets = this.#offsets[hash] as number; offsets !== 0; ) {
      const offset = 31 - Math.clz32(offsets);
      take(last - offset);
      offsets ^= 1 << offset;
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
