import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { listImageBuilds } from "../../shared/jobfile/resolve.ts";
import type { JobDocument } from "../../shared/jobfile/schema.ts";
import type { JobIssue } from "../../shared/jobfile/schema-issues.ts";
import { oneLine } from "../terminal/one-line.ts";

/** Docker takes URLs and `-` as contexts too; these are its own to judge. */
const notLocal = /^[a-z+]+:\/\/|^git@|^-$/;

/**
 * Dockerfiles and build contexts of a job that are not there, or not what they should be. Docker's own words for that
 * differ from version to version, and come only when the build begins.
 */
export async function findMissingFiles(job: JobDocument, folder: string): Promise<JobIssue[]> {
  const checks = listImageBuilds(job).flatMap(({ stepIndex, dockerfile, context }) => [
    checkPath(folder, ["steps", stepIndex, "dockerfile"], dockerfile, "file"),
    ...(notLocal.test(context) ? [] : [checkPath(folder, ["steps", stepIndex, "context"], context, "folder")]),
  ]);
  return (await Promise.all(checks)).filter((issue) => issue !== undefined);
}

async function checkPath(
  folder: string,
  path: JobIssue["path"],
  named: string,
  kind: "file" | "folder",
): Promise<JobIssue | undefined> {
  const full = resolve(folder, named);
  const found = await kindOf(full);
  if (found === kind) return undefined;
  const problem =
    found === undefined
      ? `there is no '${oneLine(named)}'; it is looked for relative to the job file, at ${oneLine(full)}`
      : `'${oneLine(named)}' is a ${found}; a ${kind} is needed here`;
  return { path, part: "value", message: problem, code: "missing_file" };
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // What may not be looked at is as good as not there: the build could not read it either.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "ELOOP") return undefined;
    throw error;
  }
}
