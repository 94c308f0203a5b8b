/**
 * Works on the items of a source ahead of whoever takes the results, which come in order: at most `ahead` of them are being
 * made or wait to be taken.
 */
export async function* readAhead<Item, Result>(
  source: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  ahead: number,
): AsyncGenerator<Result> {
  const items = source[Symbol.asyncIterator]();
  const results: Promise<Result>[] = [];
  let exhausted = false;
  try {
    for (;;) {
      while (!exhausted && results.length < ahead) {
        const next = await items.next();
        if (next.done === true) {
          exhausted = true;
        } else {
          const result = work(next.value);
          // It is awaited when its turn comes; a failure before that is not an unhandled one.
          result.catch(() => undefined);
          results.push(result);
        }
      }
      const first = results.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await items.return?.();
  }
}
