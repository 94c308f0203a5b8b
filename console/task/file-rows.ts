import type { ArtifactFile } from "../../shared/api/artifact-schemas.ts";

/** What is known of a folder of an artifact. */
export interface FolderPage {
  files: readonly ArtifactFile[];
  /** There are more than were read. */
  hasMore: boolean;
}

/** A line of the list of an artifact: something in it, or what stands for what has not been read. */
export type FileRow =
  | { kind: "entry"; key: string; level: number; name: string; file: ArtifactFile; isOpen: boolean }
  | { kind: "more" | "reading"; key: string; level: number; folder: string };

/** The lines of a tree as far as it is open. */
export function listTreeRows(
  folders: ReadonlyMap<string, FolderPage>,
  open: ReadonlySet<string>,
  folder = "",
  level = 0,
): FileRow[] {
  const page = folders.get(folder);
  if (!page) return [{ kind: "reading", key: `${folder}/reading`, level, folder }];
  const rows = page.files.flatMap((file): FileRow[] => {
    const isOpen = file.kind === "folder" && open.has(file.path);
    const row: FileRow = { kind: "entry", key: file.path, level, name: lastName(file.path), file, isOpen };
    return isOpen ? [row, ...listTreeRows(folders, open, file.path, level + 1)] : [row];
  });
  return page.hasMore ? [...rows, { kind: "more", key: `${folder}/more`, level, folder }] : rows;
}

/** The lines of what was found, by whole paths. */
export function listFoundRows({ files, hasMore }: FolderPage): FileRow[] {
  const rows = files.map((file): FileRow => {
    return { kind: "entry", key: file.path, level: 0, name: file.path, file, isOpen: false };
  });
  return hasMore ? [...rows, { kind: "more", key: "/more", level: 0, folder: "" }] : rows;
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A name as one line in which nothing is hidden: what would end the line or turn the reading direction becomes `·`. */
export function showName(name: string): string {
  return name.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "·");
}

/** Permissions as `ls` writes them. */
export function formatMode(mode: number): string {
  return [6, 3, 0]
    .map((shift) => {
      const bits = mode >> shift;
      return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 1 ? "x" : "-"}`;
    })
    .join("");
}
