/** Figures of a series of samples. */
export interface Summary {
  count: number;
  median: number;
  p99: number;
  min: number;
  max: number;
}

/** Summarises samples; quantiles by nearest rank. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = (q: number) =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN;
  return { count: sorted.length, median: rank(0.5), p99: rank(0.99), min: rank(0), max: rank(1) };
}

/** One figure of a run, with what it is held against. */
export interface Figure {
  name: string;
  value: string;
  /** What the project aims at, and whether this run met it. */
  aim?: { text: string; met: boolean };
}

/** Prints figures as a table. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  const width = Math.max(...figures.map((figure) => figure.name.length));
  process.stdout.write(`\n${title}\n`);
  for (const { name, value, aim } of figures) {
    const verdict = aim ? `   aim ${aim.text}: ${aim.met ? "met" : "missed"}` : "";
    process.stdout.write(`  ${name.padEnd(width)}  ${value}${verdict}\n`);
  }
}
