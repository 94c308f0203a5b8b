import type { LogChunkName } from "../../shared/domain/object-keys.ts";

/** A chunk of a log: its name's parts, and its lines as they are stored, not compressed yet. */
export interface Chunk {
  name: LogChunkName;
  content: Buffer;
}

/** Chunks of fewer stored bytes are small: those of a step that prints a little now and then. */
export const smallChunkBytes = 64 * 1024;
/** So many small chunks in a row become one. */
const chunksPerJoin = 32;
/** Fewer are not worth another request. */
const fewestPerJoin = 8;

/**
 * Collects small chunks that were stored one after the other. A step that prints a line a second for hours stores
 * thousands of them, and a reader should not have to fetch each: joined chunks repeat them. Nothing is ever replaced, so
 * a joined chunk that is missing costs readers requests and nothing else.
 */
export class SmallChunks {
  #row: Chunk[] = [];

  /** Takes the chunk that was stored last; answers a joined one where it is time to store that. */
  add(chunk: Chunk): Chunk | undefined {
    if (chunk.content.length >= smallChunkBytes) return this.end();
    this.#row.push(chunk);
    return this.#row.length === chunksPerJoin ? this.end() : undefined;
  }

  /** Nothing more follows the chunks in a row; answers one in their place where they are enough. */
  end(): Chunk | undefined {
    const row = this.#row;
    this.#row = [];
    const [first] = row;
    if (first === undefined || row.length < fewestPerJoin) return undefined;
    const sum = (pick: (name: LogChunkName) => number) => row.reduce((total, { name }) => total + pick(name), 0);
    return {
      name: {
        ...first.name,
        lastSequence: first.name.sequence + row.length - 1,
        lines: sum((name) => name.lines),
        bytes: sum((name) => name.bytes),
      },
      content: Buffer.concat(row.map(({ content }) => content)),
    };
  }
}
