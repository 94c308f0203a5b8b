import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { createByteMemory } from "../shared/byte-memory.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import { artifactListLimits, type ListedMember, parseMembers } from "../shared/domain/artifact-list.ts";
import type { Artifact } from "../shared/domain/manifest.ts";

const decompress = promisify(zstdDecompress);

/** Reads lists of what is in artifacts. They never change, so this process remembers those it has read last. */
export interface ArtifactListReader {
  /** The members that are listed; undefined where there is no such list any more. */
  get(list: NonNullable<Artifact["list"]>): Promise<readonly ListedMember[] | undefined>;
}

/** One of the largest lists, or many small ones. */
const rememberedBytes = 32 * 1024 * 1024;
/** About what a member takes in memory beside its path. */
const memberBytes = 120;
/** Of a list in UTF-8; one that says otherwise of itself is none of ours. */
const largestListBytes = 4 * artifactListLimits.characters;

export function createArtifactListReader(objects: Pick<ObjectStore, "get">): ArtifactListReader {
  const memory = createByteMemory<readonly ListedMember[]>(rememberedBytes);
  return {
    async get({ key, sha256 }) {
      const known = memory.get(key);
      if (known) return known;
      const stored = await objects.get(key);
      if (!stored || createHash("sha256").update(stored).digest("hex") !== sha256) return undefined;
      const text = (await decompress(stored, { maxOutputLength: largestListBytes })).toString("utf8");
      const members = parseMembers(text);
      memory.add(key, members, text.length + members.length * memberBytes);
      return members;
    },
  };
}
