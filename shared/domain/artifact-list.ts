import * as z from "zod";

/** What a member of an artifact is. */
export const memberKinds = ["file", "folder", "link"] as const;

/**
 * A member of an artifact as the list beside the artifact tells it: kind, path, bytes, mode, time of its last change
 * (milliseconds since the epoch) and, of a link, where it leads. Of a path whose bytes are no UTF-8 the names in
 * question have such bytes as `\xNN`.
 */
const listedMemberSchema = z.tuple(
  [z.enum(memberKinds), z.string(), z.number(), z.number(), z.number()],
  z.string().optional(),
);

/** The same, by names. */
export interface ListedMember {
  kind: (typeof memberKinds)[number];
  path: string;
  size: number;
  mode: number;
  mtimeMs: number;
  target?: string;
}

/**
 * What a list holds at most; of an artifact with more the list has the first, and the artifact tells how many there
 * are. A process of the API holds a list in memory while it answers.
 */
export const artifactListLimits = { members: 100_000, characters: 8 * 1024 * 1024 } as const;

/** Writes a member as a list holds it: one JSON text a line. */
export function formatMember({ kind, path, size, mode, mtimeMs, target }: ListedMember): string {
  return `${JSON.stringify([kind, path, size, mode, mtimeMs, ...(target === undefined ? [] : [target])])}\n`;
}

/** Reads what `formatMember` wrote, line for line; throws where it is something else. */
export function parseMembers(text: string): ListedMember[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [kind, path, size, mode, mtimeMs, target] = listedMemberSchema.parse(JSON.parse(line));
      return { kind, path, size, mode, mtimeMs, ...(target === undefined ? {} : { target }) };
    });
}

/** What lies right in a folder: a member, or a folder that is none itself but has members in it. */
export interface FolderChild extends Omit<ListedMember, "mode" | "mtimeMs"> {
  mode?: number;
  mtimeMs?: number;
  /** Of a folder: files below it, and their bytes. */
  files?: number;
  bytes?: number;
}

/** What lies right in a folder (`""`: at the top), in the order of the list; folders with what is below them. */
export function listFolder(members: readonly ListedMember[], folder: string): FolderChild[] {
  const prefix = folder === "" ? "" : `${folder}/`;
  const children = new Map<string, FolderChild>();
  for (const member of members) {
    if (!member.path.startsWith(prefix) || member.path.length === prefix.length) continue;
    const end = member.path.indexOf("/", prefix.length);
    const path = end < 0 ? member.path : member.path.slice(0, end);
    if (end < 0 && member.kind !== "folder") children.set(path, member);
    else addBelow(children, path, member);
  }
  return [...children.values()];
}

/** Counts a member into the folder; there may be very many in it, so that its entry is made once. */
function addBelow(children: Map<string, FolderChild>, path: string, member: ListedMember): void {
  let child = children.get(path);
  if (child?.files === undefined) {
    child = { ...(child ?? { kind: "folder", path, size: 0 }), files: 0, bytes: 0 };
    children.set(path, child);
  }
  if (member.path === path) Object.assign(child, member);
  if (member.kind !== "file") return;
  child.files = (child.files ?? 0) + 1;
  child.bytes = (child.bytes ?? 0) + member.size;
}
