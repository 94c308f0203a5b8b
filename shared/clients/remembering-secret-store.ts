import type { SecretStore } from "./secret-store.ts";

/** A secret that another process changed is delivered with its new value after so long at the latest. */
const memoryMs = 10_000;
const rememberedSecrets = 1_000;

/**
 * A store whose values are remembered for some seconds, in this process's memory only: the tasks of one job want the
 * same ones at the same time, and a store takes few calls a second. What this process changes counts at once, and that
 * a secret is missing is not remembered: whoever sets it need not wait.
 */
export function rememberSecrets(store: SecretStore, nowMs: () => number): SecretStore {
  const known = new Map<string, { value: string; untilMs: number }>();
  let changes = 0;
  const change = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } finally {
      // Also a read that is under way may bring the old value.
      changes++;
      known.delete(name);
    }
  };
  return {
    ...store,
    async get(names) {
      const values = new Map<string, string>();
      const unknown: string[] = [];
      for (const name of new Set(names)) {
        const remembered = known.get(name);
        if (remembered && remembered.untilMs > nowMs()) values.set(name, remembered.value);
        else unknown.push(name);
      }
      if (unknown.length === 0) return values;
      const changesBefore = changes;
      const read = await store.get(unknown);
      if (known.size + read.size > rememberedSecrets) known.clear();
      for (const [name, value] of read) {
        values.set(name, value);
        if (changes === changesBefore) known.set(name, { value, untilMs: nowMs() + memoryMs });
      }
      return values;
    },
    put: (secret, value) => change(secret.name, () => store.put(secret, value)),
    delete: (name) => change(name, () => store.delete(name)),
  };
}
