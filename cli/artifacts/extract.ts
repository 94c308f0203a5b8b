import { once } from "node:events";
import { createReadStream } from "node:fs";
import { isAbsolute } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ReadEntry } from "tar";
import { makeFolder } from "../../shared/make-folder.ts";
import { oneLine } from "../terminal/one-line.ts";
import { decompress } from "./decompress.ts";
import { HoleWriter } from "./hole-writer.ts";

/** What was taken out of an archive. */
export interface Extracted {
  files: number;
  /** Members that were left out, each with the reason: they would have reached outside the folder. */
  refused: string[];
  /** Members that got another path than they had, each with that. */
  renamed: string[];
}

/** Only these kinds of members are taken: devices and pipes have no place in an artifact. */
const memberKinds = ["File", "OldFile", "ContiguousFile", "Directory", "SymbolicLink", "Link"];

/** Smaller files are not worth a look for holes. */
const holeyBytes = 1024 * 1024;

/** What stands in a name for bytes that are no UTF-8: two such names may look the same. */
const noText = "\ufffd";

/** Why a member is left out; undefined where it is not. The unpacker would make an absolute link a relative one. */
function explainRefusal({ type, linkpath = "" }: Pick<ReadEntry, "type" | "linkpath">): string | undefined {
  if (!memberKinds.includes(type)) return "not a file, folder or link";
  const isLink = type === "SymbolicLink" || type === "Link";
  return isLink && isAbsolute(linkpath) ? `a link to ${oneLine(linkpath)}, outside of the folder` : undefined;
}

/**
 * Unpacks a `.tar.zst` into a folder with flat memory; files get holes where they have nothing but zeros. Members and
 * links that lead outside it are left out and told; a link that is in the way is replaced, never followed. Owners,
 * set-user-id bits and devices are not taken over. Throws where the archive is damaged or the disk does not take it.
 */
export async function extractArchive(archive: string, folder: string, signal: AbortSignal): Promise<Extracted> {
  const tar = await import("tar");
  await makeFolder(folder, 0o777);
  const extracted: Extracted = { files: 0, refused: [], renamed: [] };
  let failure: unknown;
  const unclear = new Set<string>();
  const unpack = new tar.Unpack({
    cwd: folder,
    preserveOwner: false,
    filter: (path, entry) => {
      const problem = "type" in entry ? explainRefusal(entry) : "not a file, folder or link";
      if (problem !== undefined || !("type" in entry)) {
        extracted.refused.push(`${oneLine(path)}: ${problem}`);
        return false;
      }
      if (path.includes(noText)) {
        if (unclear.has(path)) {
          extracted.refused.push(`${oneLine(path)}: its name is not UTF-8, and another one looks the same`);
          return false;
        }
        unclear.add(path);
        extracted.renamed.push(`${oneLine(path)}, for its name is not UTF-8`);
      }
      if (entry.type !== "Directory") extracted.files++;
      if (entry.mode !== undefined) entry.mode &= 0o777;
      return true;
    },
    // It is only ever written to and piped on.
    transform: (entry) => entry.size >= holeyBytes && (new HoleWriter() as unknown as ReadEntry),
    onwarn: (code, message, data) => {
      const named = data.entry instanceof tar.ReadEntry ? data.entry : undefined;
      const refuse = (reason: string) => {
        extracted.refused.push(oneLine(named ? `${named.path}: ${reason}` : reason));
        if (named && named.type !== "Directory") extracted.files--;
      };
      if (data.tarCode === "TAR_ENTRY_INFO" || code === "TAR_ENTRY_INFO") {
        // Links are judged before: what the unpacker changes by itself is the root of a path.
        if (named && typeof data.path === "string") extracted.renamed.push(oneLine(`${data.path} as ${named.path}`));
      } else if (data.code === "ENOENT" && named?.type === "Link") {
        refuse(`a link to ${named.linkpath}, which is not there`);
      } else if (data.code === "ENAMETOOLONG") {
        refuse("its path is longer than this system takes");
      } else if (typeof data.code === "string" && /^E[A-Z]+$/.test(data.code)) {
        // Codes of the operating system are faults of the disk; the others are what the unpacker itself refused.
        failure ??= data;
      } else {
        refuse(wordRefusal(String(message), named));
      }
    },
  });
  const closed = once(unpack, "close");
  const feed = async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      if (failure !== undefined) throw failure;
      if (!unpack.write(chunk)) await once(unpack, "drain");
    }
  };
  await pipeline(createReadStream(archive), decompress, feed, { signal });
  unpack.end();
  await closed;
  if (failure !== undefined) throw failure;
  return extracted;
}

/** What the unpacker says, in words that say where it would have led. */
function wordRefusal(message: string, entry: Pick<ReadEntry, "linkpath"> | undefined): string {
  if (/^linkpath (contains|escapes)/.test(message)) return `a link to ${entry?.linkpath}, outside of the folder`;
  if (/^path (contains|escape)/.test(message)) return "it would be outside of the folder";
  return /through symbolic link/.test(message) ? "it would be written through a link" : message;
}
