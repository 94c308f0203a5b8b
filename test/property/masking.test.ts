import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listSecretForms } from "../../workers/masking/forms.ts";
import { SecretMatcher } from "../../workers/masking/secret-matcher.ts";
import { StreamMasker } from "../../workers/masking/stream-masker.ts";
import { propertyRun } from "../support/property-run.ts";

/** Few letters, so that values overlap, repeat and begin each other. */
const value = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("a", "b", "é"), minLength: 40, maxLength: 90 }),
  fc.string({ unit: "binary", minLength: 4, maxLength: 20 }),
);
const values = fc.array(value, { minLength: 1, maxLength: 4 });

/** Output that holds secrets in any form between other text, and where it is cut. */
const output = values.chain((secrets) => {
  const forms = secrets.flatMap(listSecretForms);
  const part = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "b", "\n", " ", "é"), maxLength: 10 }),
    ...(forms.length > 0 ? [fc.constantFrom(...forms)] : []),
  );
  return fc.record({
    secrets: fc.constant(secrets),
    parts: fc.array(part, { maxLength: 12 }),
    cuts: fc.array(fc.nat(400)),
  });
});

function maskInPieces(matcher: SecretMatcher, bytes: Buffer, cuts: readonly number[]): Buffer {
  const masker = new StreamMasker(matcher);
  const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
  const shown = places.slice(1).map((end, index) => masker.push(bytes.subarray(places[index], end)));
  return Buffer.concat([...shown, masker.end()]);
}

/** The same by the plainest means: every byte that any whole form covers is masked, neighbours together. */
function maskPlainly(forms: readonly Buffer[], bytes: Buffer): string {
  const covered = new Uint8Array(bytes.length);
  for (const form of forms) {
    for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1)) covered.fill(1, at, at + form.length);
  }
  let text = "";
  bytes.forEach((byte, index) => {
    if (covered[index] === 0) text += String.fromCharCode(byte);
    else if (index === 0 || covered[index - 1] === 0) text += "***";
  });
  return text;
}

describe("masking", () => {
  it("does not depend on how output is cut", () => {
    propertyRun(
      fc.property(output, ({ secrets, parts, cuts }) => {
        const matcher = new SecretMatcher(secrets);
        const bytes = Buffer.from(parts.join(""));
        expect(maskInPieces(matcher, bytes, cuts).equals(maskInPieces(matcher, bytes, []))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("shows no form of a secret and everything else, as the plainest search would", () => {
    propertyRun(
      fc.property(output, ({ secrets, parts, cuts }) => {
        // Long forms are masked by pieces, so more than whole ones: those are left to the next property.
        const short = secrets.filter((secret) =>
          listSecretForms(secret).every((form) => Buffer.byteLength(form) <= 32),
        );
        const bytes = Buffer.from(parts.join(""));
        const forms = short.flatMap(listSecretForms).map((form) => Buffer.from(form));
        expect(maskInPieces(new SecretMatcher(short), bytes, cuts).toString("latin1")).toBe(maskPlainly(forms, bytes));
      }),
      { numRuns: 500 },
    );
  });

  it("leaves nothing of a secret of any length where it is whole", () => {
    const long = fc.string({ unit: "grapheme", minLength: 4, maxLength: 300 });
    propertyRun(
      fc.property(long, fc.array(fc.nat(3_000), { maxLength: 6 }), (secret, cuts) => {
        const matcher = new SecretMatcher([secret]);
        for (const form of listSecretForms(secret)) {
          const shown = maskInPieces(matcher, Buffer.from(`\u0001${form}\u0001`), cuts).toString();
          expect(shown).toBe("\u0001***\u0001");
        }
      }),
      { numRuns: 200 },
    );
  });

  it("holds back less than the longest piece", () => {
    propertyRun(
      fc.property(output, ({ secrets, parts }) => {
        const matcher = new SecretMatcher(secrets);
        const bytes = Buffer.from(parts.join(""));
        expect(bytes.length - matcher.openStart(bytes)).toBeLessThanOrEqual(Math.max(0, matcher.maxBytes - 1));
      }),
    );
  });
});
