const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const unitBytes: Readonly<Record<string, number>> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** How a duration is written: numbers with their units, such as `500ms`, `10s`, `1m30s`, `1.5h` or `30d`. */
export const durationPattern = /^(\d{1,12}(\.\d{1,6})?(ms|s|m|h|d)){1,5}$/;

/** How a size is written: a whole number of bytes, or of k, m, g or t (powers of 1024, as Docker counts). */
export const sizePattern = /^(\d{1,12})([bkmgt]?)$/;

/** Whole milliseconds of a duration, or undefined where the text is none. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  const parts = [...text.matchAll(/([\d.]+)([a-z]+)/g)];
  const totalMs = Math.round(
    parts.reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (unitMs[unit] ?? Number.NaN), 0),
  );
  return Number.isSafeInteger(totalMs) ? totalMs : undefined;
}

/** Bytes of a size, or undefined where the text is none. */
export function parseSize(text: string): number | undefined {
  const match = sizePattern.exec(text);
  if (!match) return undefined;
  const amount = Number(match[1]) * (unitBytes[match[2] || "b"] ?? Number.NaN);
  return Number.isSafeInteger(amount) ? amount : undefined;
}
