/** Something that takes slots. */
export interface Placeable {
  readonly slots: number;
}

/**
 * What becomes of a message that was received: `placed` = its slots are taken, run it; `held` = it waits here until
 * they are free; `surplus` = enough is waiting already, give it back; `oversized` = this worker will never fit it.
 */
export type Placement = "placed" | "held" | "surplus" | "oversized";

export interface PlacementOptions {
  slots: number;
  /** What waits here is hidden from other workers: few. */
  maxHeld: number;
  /** Smaller tasks pass the first of the held for this long; then slots are kept free until it fits. */
  passWindowMs: number;
}

/**
 * Who gets the slots of a worker. It never gives more than there are, leaves no slot idle behind a task that is too
 * big (for a bounded time), and starves no big task. Pure: it neither waits nor reads a clock.
 */
export class SlotPlacement<T extends Placeable> {
  readonly #options: PlacementOptions;
  readonly #held: { item: T; sinceMs: number }[] = [];
  #used = 0;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  get freeSlots(): number {
    return this.#options.slots - this.#used;
  }

  /** Decides about one received item; the slots of a placed one are taken. */
  offer(item: T, nowMs: number): Placement {
    if (item.slots > this.#options.slots) return "oversized";
    if (!this.#reservesSlots(nowMs) && item.slots <= this.freeSlots) {
      this.#used += item.slots;
      return "placed";
    }
    if (this.#held.length >= this.#options.maxHeld) return "surplus";
    this.#held.push({ item, sinceMs: nowMs });
    return "held";
  }

  /** Gives back the slots of an item that was placed. */
  release(item: T): void {
    this.#used -= item.slots;
  }

  /** Takes slots for held items that fit now, in the order they came; after the window only the first may. */
  placeHeld(nowMs: number): T[] {
    const placed: T[] = [];
    for (let index = 0; index < this.#held.length; ) {
      const candidate = this.#held[index];
      if (candidate === undefined) break;
      if (candidate.item.slots <= this.freeSlots) {
        this.#held.splice(index, 1);
        this.#used += candidate.item.slots;
        placed.push(candidate.item);
        continue;
      }
      if (index === 0 && this.#reservesSlots(nowMs)) break;
      index++;
    }
    return placed;
  }

  /** Number of messages to ask for; 0 where none could be placed or held. */
  pollSize(nowMs: number): number {
    if (this.#reservesSlots(nowMs)) return 0;
    return Math.max(0, Math.min(this.freeSlots, this.#options.maxHeld - this.#held.length));
  }

  /** Takes everything out that is held. */
  takeHeld(): T[] {
    return this.#held.splice(0).map((entry) => entry.item);
  }

  #reservesSlots(nowMs: number): boolean {
    const first = this.#held[0];
    return first !== undefined && nowMs - first.sinceMs >= this.#options.passWindowMs;
  }
}
