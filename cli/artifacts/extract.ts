import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import type { Unpack } from "tar";
import { oneLine } from "../terminal/one-line.ts";

/** What was taken out of an archive. */
export interface Extracted {
  files: number;
  /** Members that were left out or changed, each with the reason: they would have reached outside the folder. */
  refused: string[];
}

/** Only these kinds of members are taken: devices and pipes have no place in an artifact. */
const memberKinds = ["File", "OldFile", "ContiguousFile", "Directory", "SymbolicLink", "Link"];

/**
 * Unpacks a `.tar.zst` into a folder with flat memory. Members and links that lead outside it are left out and told;
 * a link that is in the way is replaced, never followed. Owners, set-user-id bits and devices are not taken over.
 * Throws where the archive is damaged or the disk does not take it.
 */
export async function extractArchive(archive: string, folder: string, signal: AbortSignal): Promise<Extracted> {
  const tar = await import("tar");
  await mkdir(folder, { recursive: true });
  const extracted: Extracted = { files: 0, refused: [] };
  let failure: unknown;
  const unpack = new tar.Unpack({
    cwd: folder,
    preserveOwner: false,
    filter: (path, entry) => {
      if (!("type" in entry) || !memberKinds.includes(entry.type)) {
        extracted.refused.push(`${oneLine(path)}: not a file, folder or link`);
        return false;
      }
      if (entry.type !== "Directory") extracted.files++;
      if (entry.mode !== undefined) entry.mode &= 0o777;
      return true;
    },
    onwarn: (_code, message, data) => {
      // Codes of the operating system are faults of the disk; the others are what the unpacker itself refused.
      if (typeof data.code === "string" && /^E[A-Z]+$/.test(data.code)) failure ??= data;
      else extracted.refused.push(oneLine(`${pathOf(data.entry)}${message}`));
    },
  });
  const closed = once(unpack, "close");
  await pipeline(createReadStream(archive), createZstdDecompress(), (chunks) => feed(unpack, chunks), { signal });
  unpack.end();
  await closed;
  if (failure !== undefined) throw failure;
  return extracted;
}

async function feed(unpack: Unpack, chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) if (!unpack.write(chunk)) await once(unpack, "drain");
}

function pathOf(entry: unknown): string {
  return entry instanceof Object && "path" in entry ? `${String(entry.path)}: ` : "";
}
