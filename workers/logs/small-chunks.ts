import type { LogContent } from "../../shared/domain/log-line.ts";
import type { LogChunkName } from "../../shared/domain/object-keys.ts";

/** A chunk of a log: its name's parts, and what it holds. */
export interface Chunk {
  name: LogChunkName;
  content: LogContent;
}

/** Chunks of fewer bytes of text are small: those of a step that prints a little now and then. */
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

  /** Takes a copy of the chunk that was stored last; answers a joined one where it is time to store that. */
  add({ name, content: { text, runs } }: Chunk): Chunk | undefined {
    if (text.length >= smallChunkBytes) return this.end();
    this.#row.push({ name, content: { text: Buffer.from(text), runs } });
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
      content: {
        text: Buffer.concat(row.map(({ content }) => content.text)),
        runs: row.flatMap(({ content }) => content.runs),
      },
    };
  }
}
