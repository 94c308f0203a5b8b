/** Random numbers from 0 up to 1 that a seed repeats (mulberry32). */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of the items, each as likely as its weight says. */
export function pickWeighted<T>(random: Random, items: readonly { item: T; weight: number }[]): T {
  let left = random() * items.reduce((sum, { weight }) => sum + weight, 0);
  for (const { item, weight } of items) {
    left -= weight;
    if (left < 0) return item;
  }
  const last = items.at(-1);
  if (!last) throw new Error("there is nothing to pick from");
  return last.item;
}

/** A whole number from `low` to `high`, both included. */
export function pickBetween(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}
