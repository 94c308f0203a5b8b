import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { newWorkerId } from "../shared/domain/ids.ts";
import { readOwner } from "./owner.ts";
import { createWorkerDir, createWorkspace } from "./workspace.ts";

it("keeps what a worker has on disk from other users, and lets any user of an image write where steps are meant to", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-workspace-"));
  const umask = process.umask(0o027);
  try {
    const workerDir = await createWorkerDir(folder, newWorkerId(Date.now()), await readOwner());
    const workspace = await createWorkspace(workerDir, "1");
    const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    expect(await Promise.all([workerDir, workspace.root, join(workerDir, "owner")].map(modeOf))).toEqual([
      "700",
      "700",
      "600",
    ]);
    const open = [workspace.path, workspace.output, workspace.shared];
    expect(await Promise.all(open.map(modeOf))).toEqual(["777", "777", "777"]);
  } finally {
    process.umask(umask);
    await rm(folder, { recursive: true });
  }
});
