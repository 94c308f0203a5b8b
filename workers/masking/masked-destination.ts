import type { SecretMatcher } from "./secret-matcher.ts";
import { maskText } from "./stream-masker.ts";

/** Where lines of a log go. */
export interface LineDestination {
  write(line: string): void;
}

/**
 * The worker's own log with the secrets of its tasks masked: what fails often quotes what it failed at. A matcher
 * counts from `add` until the function it answers is called.
 */
export class MaskedDestination implements LineDestination {
  readonly #target: LineDestination;
  readonly #matchers = new Set<SecretMatcher>();

  constructor(target: LineDestination) {
    this.#target = target;
  }

  add(matcher: SecretMatcher): () => void {
    if (!matcher.isEmpty) this.#matchers.add(matcher);
    return () => this.#matchers.delete(matcher);
  }

  write(line: string): void {
    let shown = line;
    for (const matcher of this.#matchers) shown = maskText(matcher, shown);
    this.#target.write(shown);
  }
}
