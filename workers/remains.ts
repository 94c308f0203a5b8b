import type { Logger } from "../shared/log.ts";
import { killProcessesOf } from "./executors/process/stray-processes.ts";
import { setSpoolsAside } from "./metrics/spool-files.ts";
import type { Owner } from "./owner.ts";
import { messageOf } from "./retry.ts";
import { findDeadWorkerDirs, removeTree } from "./workspace.ts";

/** Ends the processes and removes the folders of workers that died on this machine; living siblings are left alone. */
export async function removeHostRemains(workDir: string, own: Owner, log: Logger): Promise<void> {
  const folders = await findDeadWorkerDirs(workDir, own, Date.now());
  if (folders.length === 0) return;
  await killProcessesOf(folders);
  for (const folder of folders) {
    await setSpoolsAside(workDir, folder).catch((error: unknown) =>
      log.warn({ folder, reason: messageOf(error) }, "the last samples of a dead worker are lost"),
    );
    if (await removeTree(folder)) log.info({ folder }, "removed the workspaces of a dead worker");
    else log.warn({ folder }, "files of other users are left in the workspaces of a dead worker: remove them as root");
  }
}
