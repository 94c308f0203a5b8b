import { createByteMemory } from "../shared/byte-memory.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import type { LogContent } from "../shared/domain/log-line.ts";
import type { LogChunkName } from "../shared/domain/object-keys.ts";
import { readLogChunk } from "../shared/log-chunk.ts";

/**
 * Reads what chunks of logs hold. They never change, so this process remembers those it has read last: a page is smaller
 * than a chunk, and the next page often needs the same one.
 */
export interface LogContents {
  /** What a chunk holds: nothing where it has been removed, a line that says so where it cannot be read. */
  get(chunk: LogChunkName & { key: string }): Promise<LogContent>;
}

/** Some chunks of the largest size. */
const rememberedBytes = 24 * 1024 * 1024;
/** About what one of its runs takes in memory. */
const runBytes = 64;

export function createLogContents(objects: Pick<ObjectStore, "get">): LogContents {
  const memory = createByteMemory<LogContent>(rememberedBytes);
  return {
    async get(chunk) {
      const { key } = chunk;
      const known = memory.get(key);
      if (known) return known;
      const stored = await objects.get(key);
      if (!stored) return { text: Buffer.alloc(0), runs: [] };
      const content = await readLogChunk(stored, chunk);
      if (!content.isNotice) memory.add(key, content, content.text.length + content.runs.length * runBytes);
      return content;
    },
  };
}
