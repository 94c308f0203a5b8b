import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { createByteMemory } from "../shared/byte-memory.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import { artifactListLimits, type ListedMember, parseMembers } from "../shared/domain/artifact-list.ts";
import type { Artifact } from "../shared/domain/manifest.ts";
import type { Logger } from "../shared/log.ts";

const decompress = promisify(zstdDecompress);

type StoredList = NonNullable<Artifact["list"]>;

/** Reads lists of what is in artifacts. They never change, so this process remembers those it has read last. */
export interface ArtifactListReader {
  /** The members that are listed; undefined where there is no such list any more, or none that can be read. */
  get(list: StoredList): Promise<readonly ListedMember[] | undefined>;
}

/** One of the largest lists, or many small ones. */
const rememberedBytes = 32 * 1024 * 1024;
/** About what a member takes in memory beside its path. */
const memberBytes = 120;
/** Of a list in UTF-8; one that says otherwise of itself is none of ours. */
const largestListBytes = 4 * artifactListLimits.characters;

/** A reader of the lists in a bucket. What a worker stored there is taken for a list only within a list's limits. */
export function createArtifactListReader(
  objects: Pick<ObjectStore, "getStream">,
  log: Pick<Logger, "warn">,
): ArtifactListReader {
  const memory = createByteMemory<readonly ListedMember[]>(rememberedBytes);
  return {
    async get(list) {
      const { key, size, sha256 } = list;
      const known = memory.get(key);
      if (known) return known;
      const stored = size > largestListBytes ? undefined : await readObject(objects, key, size);
      if (!stored || createHash("sha256").update(stored).digest("hex") !== sha256) return undefined;
      try {
        const text = await decompress(stored, { maxOutputLength: largestListBytes });
        if (countLines(text) > artifactListLimits.members) throw new Error("it has too many members");
        const members = parseMembers(text.toString("utf8"));
        memory.add(key, members, text.length + members.length * memberBytes);
        return members;
      } catch (error) {
        // It is damaged, or in the form of another version.
        log.warn({ err: error, key }, "the list of an artifact cannot be read");
        return undefined;
      }
    },
  };
}

/** An object that has just so many bytes: of another no more is read than shows that it is another. */
async function readObject(
  objects: Pick<ObjectStore, "getStream">,
  key: string,
  bytes: number,
): Promise<Buffer | undefined> {
  const stream = await objects.getStream(key);
  const pieces: Buffer[] = [];
  let read = 0;
  for await (const piece of stream ?? []) {
    read += piece.length;
    if (read > bytes) return undefined;
    pieces.push(piece);
  }
  return stream && read === bytes ? Buffer.concat(pieces) : undefined;
}

function countLines(text: Buffer): number {
  let lines = 0;
  for (let at = text.indexOf(10); at >= 0; at = text.indexOf(10, at + 1)) lines += 1;
  return lines;
}
