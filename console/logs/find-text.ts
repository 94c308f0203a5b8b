/** Finds a text in others without regard to case. */
export interface TextFinder {
  isIn(text: string): boolean;
  /** Where it stands, as `[start, end)`; only so many places. */
  places(text: string, limit: number): [number, number][];
}

/** Looks for what was typed, letter by letter; undefined where that is nothing. */
export function createFinder(typed: string): TextFinder | undefined {
  if (typed.trim() === "") return undefined;
  // By a pattern and not in lower case, which has another length in some languages: places would be wrong.
  const pattern = new RegExp(typed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
  return {
    isIn: (text) => {
      pattern.lastIndex = 0;
      return pattern.test(text);
    },
    places: (text, limit) => {
      const places: [number, number][] = [];
      for (const { index, 0: found } of text.matchAll(pattern)) {
        places.push([index, index + found.length]);
        if (places.length >= limit) break;
      }
      return places;
    },
  };
}
