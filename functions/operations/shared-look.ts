/** A look at something that everybody who asks within a while shares. */
export interface SharedLook<T> {
  take(): Promise<T>;
  /** Whoever asks next gets a new look. */
  forget(): void;
}

/** A look under way for longer than this is not waited for by those who ask then: it may never come back. */
const patienceMs = 10_000;

/**
 * Shares what one look brings among those that ask at the same time or within `forMs` of it, so that the cost of many
 * who watch is the cost of one. A look that failed is told to those who waited for it, and not remembered.
 */
export function createSharedLook<T>(look: () => Promise<T>, forMs: number, now: () => number): SharedLook<T> {
  let last: { answer: Promise<T>; atMs: number; pending: boolean } | undefined;
  return {
    take() {
      // A clock that was set back must not make the last look last for ever.
      if (last && Math.abs(now() - last.atMs) < (last.pending ? patienceMs : forMs)) return last.answer;
      const mine = { answer: look(), atMs: now(), pending: true };
      last = mine;
      mine.answer.then(
        () => {
          mine.pending = false;
        },
        () => {
          if (last === mine) last = undefined;
        },
      );
      return mine.answer;
    },
    forget() {
      last = undefined;
    },
  };
}
