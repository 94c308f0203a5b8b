import type { SecretMatcher } from "./secret-matcher.ts";

/** What stands in the place of a secret. */
export const mask = "***";
const maskBytes = Buffer.from(mask);
const nothing = Buffer.alloc(0);

/**
 * Masks secrets in a stream of bytes, however it is cut: what could be the start of a secret is held back until more
 * comes, at most some tens of bytes. Secrets that overlap or touch become one mask. What holds none passes uncopied.
 */
export class StreamMasker {
  readonly #matcher: SecretMatcher;
  #held: Buffer = nothing;
  /** So many of the next bytes belong to a mask that has been written already. */
  #coveredBytes = 0;
  /** The last thing written is a mask: what is masked next, should it touch that one, becomes part of it. */
  #endsWithMask = false;

  constructor(matcher: SecretMatcher) {
    this.#matcher = matcher;
  }

  /** Takes bytes and answers what may be shown by now. */
  push(bytes: Buffer): Buffer {
    if (this.#matcher.isEmpty) return bytes;
    const source = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const decidedEnd = this.#matcher.openStart(source);
    // A copy: the reader's buffer must not live on for the sake of a few bytes.
    this.#held = decidedEnd === source.length ? nothing : Buffer.from(source.subarray(decidedEnd));
    return this.#show(source, decidedEnd);
  }

  /** Answers what is held back: nothing more will come. */
  end(): Buffer {
    const source = this.#held;
    this.#held = nothing;
    return this.#show(source, source.length);
  }

  /** `source[0, end)` with masks. What is found beyond the end is found again with what comes. */
  #show(source: Buffer, end: number): Buffer {
    if (end === 0) return nothing;
    const pieces: Buffer[] = [];
    let isMasked = this.#endsWithMask;
    let coveredEnd = this.#coveredBytes;
    let shownEnd = Math.min(coveredEnd, end);
    for (const found of this.#matcher.find(source)) {
      if (found.start >= end) break;
      if (!isMasked || found.start > coveredEnd) {
        if (found.start > shownEnd) pieces.push(source.subarray(shownEnd, found.start));
        pieces.push(maskBytes);
        isMasked = true;
      }
      coveredEnd = Math.max(coveredEnd, found.end);
      shownEnd = Math.min(coveredEnd, end);
    }
    if (end > shownEnd) pieces.push(source.subarray(shownEnd, end));
    this.#endsWithMask = isMasked && coveredEnd >= end;
    this.#coveredBytes = Math.max(0, coveredEnd - end);
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }
}

/** Masks the secrets of a text that is whole, such as a reason. */
export function maskText(matcher: SecretMatcher, text: string): string {
  if (matcher.isEmpty) return text;
  const masker = new StreamMasker(matcher);
  return Buffer.concat([masker.push(Buffer.from(text)), masker.end()]).toString("utf8");
}
