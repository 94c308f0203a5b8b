import { listSecretForms } from "./forms.ts";
import { WindowSearch } from "./window-search.ts";

/** Longer texts are searched piece by piece: what has to be held back between two reads stays this short. */
const pieceBytes = 32;
/** Shorter pieces are searched by themselves: beside them the others could not be searched fast. */
const longBytes = 8;
const noNode = 0;

/** A place where a secret was found: `source[start, end)`. */
export interface FoundSecret {
  start: number;
  end: number;
}

/** Finds the secrets of a task in bytes, in every form they are known by. */
export class SecretMatcher {
  readonly #searches: readonly WindowSearch[];
  readonly #trie = new ByteTrie();
  /** Longest piece of all, in bytes. */
  readonly maxBytes: number;

  constructor(values: Iterable<string>) {
    const byText = new Map<string, Buffer>();
    for (const value of values) {
      for (const form of listSecretForms(value)) {
        for (const piece of cutPieces(Buffer.from(form))) byText.set(piece.toString("latin1"), piece);
      }
    }
    const pieces = [...byText.values()];
    for (const piece of pieces) this.#trie.add(piece);
    this.maxBytes = pieces.reduce((most, piece) => Math.max(most, piece.length), 0);
    const groups = [
      pieces.filter((piece) => piece.length >= longBytes),
      pieces.filter((piece) => piece.length < longBytes),
    ];
    this.#searches = groups
      .filter((group) => group.length > 0)
      .map((group) => new WindowSearch(dropContinuations(group)));
  }

  /** True where there is nothing that could be found. */
  get isEmpty(): boolean {
    return this.#searches.length === 0;
  }

  /** The longest piece at each place where one starts and that is whole in the source, by their starts. */
  find(source: Uint8Array): FoundSecret[] {
    const found: FoundSecret[] = [];
    const check = (start: number): void => {
      const end = this.#trie.longestMatch(source, start);
      if (end > start) found.push({ start, end });
    };
    for (const search of this.#searches) search.find(source, check);
    return this.#searches.length > 1 ? found.sort((a, b) => a.start - b.start) : found;
  }

  /** Start of the longest end of the source that more bytes could make a piece of; its length where there is none. */
  openStart(source: Uint8Array): number {
    for (let start = Math.max(0, source.length - this.maxBytes + 1); start < source.length; start++) {
      if (this.#trie.isOpenPrefix(source, start)) return start;
    }
    return source.length;
  }
}

/** Pieces that begin with another of them are left out: where they start that one is found, and the trie knows both. */
function dropContinuations(pieces: readonly Buffer[]): Buffer[] {
  const known = new ByteTrie();
  return [...pieces]
    .sort((a, b) => a.length - b.length)
    .filter((piece) => {
      const isNew = known.longestMatch(piece, 0) === 0;
      if (isNew) known.add(piece);
      return isNew;
    });
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
