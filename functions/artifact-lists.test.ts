import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { artifactListLimits, formatMember, type ListedMember } from "../shared/domain/artifact-list.ts";
import { createLogger } from "../shared/log.ts";
import { createArtifactListReader } from "./artifact-lists.ts";

const member: ListedMember = { kind: "file", path: "a", size: 1, mode: 0o644, mtimeMs: 5 };

/** Reads a list that a worker stored; `said`: what it told of its size. */
async function readStored(text: string | Buffer, said?: number) {
  const stored = zstdCompressSync(text);
  let reads = 0;
  const getStream = async () => {
    reads += 1;
    return Readable.from([stored.subarray(0, 5), stored.subarray(5)]);
  };
  const reader = createArtifactListReader({ getStream }, createLogger("test", { level: "silent" }));
  const sha256 = createHash("sha256").update(stored).digest("hex");
  const list = { key: "k", size: said ?? stored.length, sha256, members: 1 };
  const found = [await reader.get(list), await reader.get(list)];
  expect(found[1]).toBe(found[0]);
  return { members: found[0], reads };
}

describe("the reader of lists", () => {
  it("reads each once", async () => {
    expect(await readStored(formatMember(member))).toEqual({ members: [member], reads: 1 });
  });

  it("takes nothing for a list that is larger than lists are, than was said of it, or of another form", async () => {
    const largest = 4 * artifactListLimits.characters;
    const text = formatMember(member);
    const stored = [
      readStored(text, 1),
      readStored(text, largest + 1),
      readStored(Buffer.alloc(largest + 1)),
      readStored(text.repeat(artifactListLimits.members + 1)),
      readStored('["socket","a",1,1,1]\n'),
    ];
    for (const { members } of await Promise.all(stored)) expect(members).toBeUndefined();
  });
});
