/** What is looked at again and again, told to one who only wants to hear what is new. */
export interface News {
  /** Whether this is news of the thing called so; what is news counts as told. */
  isNew(name: string, value: object): boolean;
  /** The names of all that was told of and not dropped. */
  names(): string[];
  drop(name: string): void;
}

/** When something was last seen changes all the time: where nothing else has, it is told this often at most. */
const lastSeenMs = 15_000;

/** Remembers what one listener was told. */
export function createNews(now: () => number): News {
  const told = new Map<string, { all: string; withoutTimes: string; atMs: number }>();
  return {
    isNew(name, value) {
      const before = told.get(name);
      const all = JSON.stringify(value);
      if (before?.all === all) return false;
      const withoutTimes = JSON.stringify(value, (key, part: unknown) => (key === "lastSeenAt" ? undefined : part));
      if (before?.withoutTimes === withoutTimes && now() - before.atMs < lastSeenMs) return false;
      told.set(name, { all, withoutTimes, atMs: now() });
      return true;
    },
    names: () => [...told.keys()],
    drop: (name) => void told.delete(name),
  };
}
