import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, type TestContext } from "vitest";

/** A temporary folder that is gone when the test is over. */
export async function makeFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  return folder;
}

/** Mounts so many megabytes on a folder until the test is over; false, with a word, where nothing can be mounted. */
export function mountSmall(folder: string, megabytes: number, context: TestContext): boolean {
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder]).status === 0;
  if (mounted) onTestFinished(() => void spawnSync("umount", [folder]));
  else {
    process.stderr.write(`SKIPPED: no small file system can be mounted here: ${context.task.name}\n`);
    context.skip();
  }
  return mounted;
}
