import fc from "fast-check";

/** A seed of its own for each run of the tests; a failure is repeated with `SLUICE_SEED=<seed>`. */
const seed = Number(process.env.SLUICE_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Checks a property; a failure names the seed, the path to the smallest counterexample and the counterexample. */
export function propertyRun<T>(property: fc.IProperty<T>, parameters: fc.Parameters<T> = {}): void {
  fc.assert(property, { seed, numRuns: 300, ...parameters });
}

/** The same for a property that takes its time. */
export async function asyncPropertyRun<T>(
  property: fc.IAsyncProperty<T>,
  parameters: fc.Parameters<T> = {},
): Promise<void> {
  await fc.assert(property, { seed, ...parameters });
}
