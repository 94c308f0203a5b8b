import { createByteMemory } from "../shared/byte-memory.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import type { LogContent } from "../shared/domain/log-line.ts";
import { unpackLogChunk } from "../shared/log-chunk.ts";

/**
 * Reads what chunks of logs hold. They never change, so this process remembers those it has read last: a page is smaller
 * than a chunk, and the next page often needs the same one.
 */
export interface LogContents {
  /** What the chunk under a key holds; nothing where it has been removed. */
  get(key: string): Promise<LogContent>;
}

/** Some chunks of the largest size. */
const rememberedBytes = 24 * 1024 * 1024;
/** About what one of its runs takes in memory. */
const runBytes = 64;

export function createLogContents(objects: Pick<ObjectStore, "get">): LogContents {
  const memory = createByteMemory<LogContent>(rememberedBytes);
  return {
    async get(key) {
      const known = memory.get(key);
      if (known) return known;
      const stored = await objects.get(key);
      if (!stored) return { text: Buffer.alloc(0), runs: [] };
      const content = await unpackLogChunk(stored);
      memory.add(key, content, content.text.length + content.runs.length * runBytes);
      return content;
    },
  };
}
