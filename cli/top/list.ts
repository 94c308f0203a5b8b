import type { Key } from "../terminal/keys.ts";

/** A part of a list that is shown, and the row in it that is chosen. */
export interface ListWindow {
  /** Index of the first row that is shown. */
  top: number;
  /** Index of the chosen row; -1 where there is none. */
  at: number;
}

/** Which row of a list is chosen: a thing, not a place, so that it stays chosen while others come and go around it. */
export class ListCursor {
  #keys: readonly string[] = [];
  #chosen: string | undefined;
  #window: ListWindow = { top: 0, at: -1 };
  #height = 1;
  #hasMoved = false;

  /** The key of the chosen row. */
  get chosen(): string | undefined {
    return this.#chosen;
  }

  /**
   * Tells what the list consists of now, and in how many lines it is shown. Of one that is still being read the first row
   * stays chosen, whatever comes before it, until somebody moves.
   */
  place(keys: readonly string[], height: number, isWhole = true): ListWindow {
    this.#keys = keys;
    this.#height = Math.max(1, height);
    if (!isWhole && !this.#hasMoved) return this.#choose(0);
    const found = this.#chosen === undefined ? -1 : keys.indexOf(this.#chosen);
    // Where it has gone, what came to its place is chosen.
    return this.#choose(found >= 0 ? found : Math.max(0, this.#window.at));
  }

  /** Moves by a key; false where it is none that moves. */
  press({ name }: Key): boolean {
    const page = Math.max(1, this.#height - 1);
    const { at } = this.#window;
    const last = this.#keys.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ...{ up: at - 1, k: at - 1, down: at + 1, j: at + 1 },
      ...{ pageup: at - page, "ctrl-b": at - page, pagedown: at + page, "ctrl-f": at + page },
      ...{ home: 0, g: 0, end: last, G: last },
    };
    const target = targets[name];
    if (target === undefined) return false;
    this.#hasMoved = true;
    this.#choose(target);
    return true;
  }

  #choose(wanted: number): ListWindow {
    const { length } = this.#keys;
    const at = Math.min(length - 1, Math.max(0, wanted));
    const lowest = Math.max(0, length - this.#height);
    const top = Math.min(lowest, Math.max(at - this.#height + 1, Math.min(this.#window.top, Math.max(0, at))));
    this.#chosen = this.#keys[at];
    this.#window = { top: Math.max(0, top), at };
    return this.#window;
  }
}
