import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** So old a folder of a process that is gone was left by a kill. Younger ones may be of a process that is not seen from here. */
const leftoverMs = 24 * 3600_000;
const namePattern = /^sluice-(?:image|build)-(\d+)-/;

/** Makes a folder for what a build or a shipment needs on the way; who made it removes it. */
export async function makeScratch(parent: string, purpose: "image" | "build"): Promise<string> {
  return mkdtemp(join(parent, `sluice-${purpose}-${process.pid}-`));
}

/** Removes what commands that were killed left behind: the layers of an image may take gigabytes. */
export async function removeLeftovers(parent: string, nowMs: number): Promise<void> {
  for (const name of (await unlessForbidden(() => readdir(parent))) ?? []) {
    const pid = Number(namePattern.exec(name)?.[1] ?? 0);
    if (pid === 0 || isRunning(pid)) continue;
    const folder = join(parent, name);
    await unlessForbidden(async () => {
      if (nowMs - (await stat(folder)).mtimeMs > leftoverMs) await rm(folder, { recursive: true, force: true });
    });
  }
}

/** What is another user's, or was removed meanwhile, is passed over. */
async function unlessForbidden<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (["ENOENT", "EACCES", "EPERM"].includes(code)) return undefined;
    throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
