import { listSecretForms } from "./forms.ts";

/** Longer texts are searched piece by piece: what has to be held back between two reads stays this short. */
const pieceBytes = 32;
const shiftBits = 15;
const shiftMask = (1 << shiftBits) - 1;
const noNode = 0;

/** Takes each place where a text was found: `source[start, end)`, in the order of their starts; they may overlap. */
export type FindTaker = (start: number, end: number) => void;

/**
 * Finds many texts in bytes at once (Wu and Manber's algorithm): of the last two bytes of a window it knows how far the
 * window may move on without passing over a text, so that most bytes are never looked at. What it stops at is checked
 * in a trie of the texts.
 */
export class SecretMatcher {
  readonly #shifts: Uint8Array;
  readonly #windowBytes: number;
  readonly #trie = new ByteTrie();
  /** Longest text of all, in bytes. */
  readonly maxBytes: number;

  /** The values in every form they are known by; `isEmpty` where none of them can be masked. */
  constructor(values: Iterable<string>) {
    const pieces = new Map<string, Buffer>();
    for (const value of values) {
      for (const form of listSecretForms(value)) {
        for (const piece of cutPieces(Buffer.from(form))) pieces.set(piece.toString("latin1"), piece);
      }
    }
    const lengths = [...pieces.values()].map((piece) => piece.length);
    this.#windowBytes = lengths.length === 0 ? 0 : lengths.reduce((least, length) => Math.min(least, length));
    this.maxBytes = lengths.reduce((most, length) => Math.max(most, length), 0);
    this.#shifts = new Uint8Array(lengths.length === 0 ? 0 : 1 << shiftBits).fill(Math.max(0, this.#windowBytes - 1));
    for (const piece of pieces.values()) this.#add(piece);
  }

  get isEmpty(): boolean {
    return this.#windowBytes === 0;
  }

  /** Finds the longest text at each place where one starts and that is whole in the source. */
  find(source: Uint8Array, take: FindTaker): void {
    const window = this.#windowBytes;
    if (window === 0) return;
    const shifts = this.#shifts;
    const length = source.length;
    for (let last = window - 1; last < length; ) {
      const shift = shifts[hashPair(source[last - 1] as number, source[last] as number)] as number;
      if (shift > 0) {
        last += shift;
        continue;
      }
      const start = last - window + 1;
      const end = this.#trie.longestMatch(source, start);
      if (end > start) take(start, end);
      last++;
    }
  }

  /** Start of the longest end of the source that more bytes could make a text of; its length where there is none. */
  openStart(source: Uint8Array): number {
    for (let start = Math.max(0, source.length - this.maxBytes + 1); start < source.length; start++) {
      if (this.#trie.isOpenPrefix(source, start)) return start;
    }
    return source.length;
  }

  #add(piece: Buffer): void {
    this.#trie.add(piece);
    const window = this.#windowBytes;
    for (let index = 1; index < window; index++) {
      const pair = hashPair(piece[index - 1] as number, piece[index] as number);
      this.#shifts[pair] = Math.min(this.#shifts[pair] as number, window - 1 - index);
    }
  }
}

function hashPair(first: number, second: number): number {
  return ((first << 7) ^ second) & shiftMask;
}

/** Pieces that cover a text; the last one ends with it and may overlap the one before. */
function* cutPieces(text: Buffer): Generator<Buffer> {
  if (text.length <= pieceBytes) {
    yield text;
    return;
  }
  for (let start = 0; start + pieceBytes < text.length; start += pieceBytes) {
    yield text.subarray(start, start + pieceBytes);
  }
  yield text.subarray(text.length - pieceBytes);
}

/** Texts by their bytes, in flat arrays: a job may have megabytes of them. Node 0 is none, node 1 the root. */
class ByteTrie {
  #bytes = new Uint8Array(1024);
  #isEnd = new Uint8Array(1024);
  #firstChild = new Uint32Array(1024);
  #nextSibling = new Uint32Array(1024);
  readonly #rootChildren = new Uint32Array(256);
  #size = 2;

  add(text: Uint8Array): void {
    let node = 1;
    for (const byte of text) node = this.#child(node, byte) || this.#addChild(node, byte);
    this.#isEnd[node] = 1;
  }

  /** End of the longest text that starts there, or `start` where none does. */
  longestMatch(source: Uint8Array, start: number): number {
    let end = start;
    let node = 1;
    for (let index = start; index < source.length; index++) {
      node = this.#child(node, source[index] as number);
      if (node === noNode) break;
      if (this.#isEnd[node] === 1) end = index + 1;
    }
    return end;
  }

  /** Whether all that follows is the beginning of a text that is longer. */
  isOpenPrefix(source: Uint8Array, start: number): boolean {
    let node = 1;
    for (let index = start; index < source.length; index++) {
      node = this.#child(node, source[index] as number);
      if (node === noNode) return false;
    }
    return this.#firstChild[node] !== noNode;
  }

  #child(node: number, byte: number): number {
    if (node === 1) return this.#rootChildren[byte] as number;
    let child = this.#firstChild[node] as number;
    while (child !== noNode && this.#bytes[child] !== byte) child = this.#nextSibling[child] as number;
    return child;
  }

  #addChild(node: number, byte: number): number {
    if (this.#size === this.#bytes.length) this.#grow();
    const child = this.#size++;
    this.#bytes[child] = byte;
    this.#nextSibling[child] = this.#firstChild[node] as number;
    this.#firstChild[node] = child;
    if (node === 1) this.#rootChildren[byte] = child;
    return child;
  }

  #grow(): void {
    const capacity = this.#bytes.length * 2;
    const enlarge = <T extends Uint8Array | Uint32Array>(array: T, larger: T): T => {
      larger.set(array);
      return larger;
    };
    this.#bytes = enlarge(this.#bytes, new Uint8Array(capacity));
    this.#isEnd = enlarge(this.#isEnd, new Uint8Array(capacity));
    this.#firstChild = enlarge(this.#firstChild, new Uint32Array(capacity));
    this.#nextSibling = enlarge(this.#nextSibling, new Uint32Array(capacity));
  }
}
