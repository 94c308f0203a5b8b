import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { ArtifactFile } from "../../shared/api/artifact-schemas.ts";
import type { ArtifactFileQuery } from "../../shared/api-client/client.ts";
import { api } from "../api/client.ts";
import { type FileRow, type FolderPage, listFoundRows, listTreeRows } from "./file-rows.ts";

/** Which artifact. */
export interface ArtifactPlace {
  job: string;
  task: string;
  attempt: number;
  name: string;
}

/** So many are read at once. */
const pageSize = 1000;

/** What is in an artifact: folders as they are opened, or what has a text in its path. It never changes. */
export function useArtifactFiles(place: ArtifactPlace, find: string) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [pages, setPages] = useState<ReadonlyMap<string, number>>(new Map());
  const folders = ["", ...open];
  const pagesOf = (key: string) => pages.get(key) ?? 1;
  const tree = useQueries({
    queries: folders.map((folder) => ({
      queryKey: ["artifact-files", place, "folder", folder, pagesOf(folder)],
      queryFn: ({ signal }: { signal: AbortSignal }) => readPages(place, { folder }, pagesOf(folder), signal),
      staleTime: Number.POSITIVE_INFINITY,
      placeholderData: keepPreviousData,
    })),
  });
  const findKey = `find ${find}`;
  const found = useQuery({
    queryKey: ["artifact-files", place, "find", find, pagesOf(findKey)],
    queryFn: ({ signal }) => readPages(place, { find }, pagesOf(findKey), signal),
    enabled: find !== "",
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
  const known = new Map<string, FolderPage>();
  for (const [at, folder] of folders.entries()) {
    const page = tree[at]?.data;
    if (page) known.set(folder, page);
  }
  const isFinding = find !== "";
  const rows: FileRow[] = isFinding ? (found.data ? listFoundRows(found.data) : []) : listTreeRows(known, open);
  const failed = isFinding ? found : tree.find(({ error }) => error);
  return {
    rows,
    isReading: isFinding ? found.isFetching : tree.some(({ isFetching }) => isFetching),
    error: failed?.error ?? undefined,
    retry: () => void failed?.refetch(),
    toggle: (path: string) =>
      setOpen(
        (before) => new Set(before.has(path) ? [...before].filter((known) => known !== path) : [...before, path]),
      ),
    readMore: (folder: string) => {
      const key = isFinding ? findKey : folder;
      setPages((before) => new Map(before).set(key, (before.get(key) ?? 1) + 1));
    },
  };
}

async function readPages(
  { job, task, attempt, name }: ArtifactPlace,
  query: ArtifactFileQuery,
  count: number,
  signal: AbortSignal,
): Promise<FolderPage> {
  const files: ArtifactFile[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < count; page++) {
    const part = await api.listArtifactFiles(
      job,
      task,
      name,
      { attempt, limit: pageSize, ...query, cursor },
      { signal },
    );
    files.push(...part.files);
    cursor = part.cursor;
    if (cursor === undefined) break;
  }
  return { files, hasMore: cursor !== undefined };
}
