/** One event pattern of Lambda: nested objects whose leaves are lists of values or of `exists` and `prefix` tests. */
export type EventPattern = { readonly [key: string]: EventPattern | readonly PatternLeaf[] };
type PatternLeaf = string | number | boolean | { readonly exists: boolean } | { readonly prefix: string };

/** Tells whether a record matches any of the patterns, as Lambda's event source mapping decides it. */
export function matchesAnyPattern(patterns: readonly EventPattern[], record: unknown): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, record));
}

function matchesPattern(pattern: EventPattern, value: unknown): boolean {
  return Object.entries(pattern).every(([key, expected]) => {
    const inner = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
    if (isLeaves(expected)) return expected.some((leaf) => matchesLeaf(leaf, inner));
    return matchesPattern(expected, inner);
  });
}

function isLeaves(expected: EventPattern | readonly PatternLeaf[]): expected is readonly PatternLeaf[] {
  return Array.isArray(expected);
}

function matchesLeaf(leaf: PatternLeaf, value: unknown): boolean {
  if (typeof leaf !== "object") return value === leaf;
  if ("exists" in leaf) return (value !== undefined) === leaf.exists;
  return typeof value === "string" && value.startsWith(leaf.prefix);
}
