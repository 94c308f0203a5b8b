/** Things by key in one process, as many as fit into a number of bytes; the least recently used is forgotten first. */
export interface ByteMemory<Value> {
  get(key: string): Value | undefined;
  /** Remembers a value that takes about so many bytes; the newest stays however large it is. */
  add(key: string, value: Value, bytes: number): void;
}

export function createByteMemory<Value>(maxBytes: number): ByteMemory<Value> {
  const remembered = new Map<string, { value: Value; bytes: number }>();
  let total = 0;
  return {
    get(key) {
      const found = remembered.get(key);
      if (!found) return undefined;
      remembered.delete(key);
      remembered.set(key, found);
      return found.value;
    },
    add(key, value, bytes) {
      total += bytes - (remembered.get(key)?.bytes ?? 0);
      remembered.delete(key);
      remembered.set(key, { value, bytes });
      for (const [oldest, { bytes: freed }] of remembered) {
        if (total <= maxBytes || oldest === key) break;
        remembered.delete(oldest);
        total -= freed;
      }
    },
  };
}
