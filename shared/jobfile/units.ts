const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const unitBytes: Readonly<Record<string, number>> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** How a duration is written: a whole number and its unit, such as `500ms`, `10s`, `5m`, `2h` or `30d`. */
export const durationPattern = /^(\d{1,12})(ms|s|m|h|d)$/;

/** How a size is written: a whole number of bytes, or of k, m, g or t (powers of 1024, as Docker counts). */
export const sizePattern = /^(\d{1,12})([bkmgt]?)$/;

/** Milliseconds of a duration, or undefined where the text is none. */
export function parseDuration(text: string): number | undefined {
  return parseAmount(text, durationPattern, unitMs);
}

/** Bytes of a size, or undefined where the text is none. */
export function parseSize(text: string): number | undefined {
  return parseAmount(text, sizePattern, unitBytes);
}

function parseAmount(text: string, pattern: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const amount = Number(match[1]) * (units[match[2] || "b"] ?? Number.NaN);
  return Number.isSafeInteger(amount) ? amount : undefined;
}
