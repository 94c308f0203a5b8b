/** What secrets may be called and may hold: the same for job files, the API and every store. */
export const secretRules = {
  /** No dots and no slash in front: whatever a store makes of a name, it cannot lead out of it. */
  name: { pattern: /^[a-z0-9][a-z0-9/_-]*$/, maxLength: 256 },
  /** Bytes of a value in UTF-8: what a parameter of AWS Systems Manager holds at most. */
  valueBytes: 8 * 1024,
  /** Shorter values, and shorter lines of a value, are not masked: they would be found in any text. */
  minMaskedLength: 4,
  /** Secrets of one job. */
  perJob: 100,
} as const;

/** Says why a name cannot be one of a secret; undefined where it can. */
export function explainBadSecretName(name: string): string | undefined {
  if (name.length > secretRules.name.maxLength) {
    return `a secret's name has at most ${secretRules.name.maxLength} characters`;
  }
  if (secretRules.name.pattern.test(name)) return undefined;
  return "a secret's name has lower-case letters, digits, '-', '_' and '/', and starts with a letter or digit";
}

/** Says why a value cannot be kept as a secret, without showing any of it; undefined where it can. */
export function explainBadSecretValue(value: string): string | undefined {
  if (value === "") return "the value is empty";
  if (value.includes("\0")) return "the value holds a NUL character, which no environment variable can";
  const bytes = new TextEncoder().encode(value).length;
  if (bytes <= secretRules.valueBytes) return undefined;
  return `the value has ${bytes} bytes; a secret has at most ${secretRules.valueBytes}`;
}
