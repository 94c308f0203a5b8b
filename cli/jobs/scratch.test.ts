import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { makeScratch, removeLeftovers } from "./scratch.ts";

const dayMs = 24 * 3600_000;
/** Above what any system gives out. */
const noProcess = 2 ** 30;

it("removes folders of commands that were killed long ago, and no others", async () => {
  const parent = await mkdtemp(join(tmpdir(), "sluice-scratch-"));
  try {
    const own = basename(await makeScratch(parent, "image"));
    for (const name of [`sluice-image-${noProcess}-abc`, `sluice-build-${noProcess}-abc`, "sluice-image-other"]) {
      await mkdir(join(parent, name, "blobs"), { recursive: true });
    }
    await removeLeftovers(parent, Date.now());
    expect(await readdir(parent)).toHaveLength(4);
    await removeLeftovers(parent, Date.now() + 2 * dayMs);
    expect((await readdir(parent)).sort()).toEqual([own, "sluice-image-other"].sort());
  } finally {
    await rm(parent, { recursive: true });
  }
});
