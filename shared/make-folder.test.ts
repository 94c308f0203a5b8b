import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeFolder } from "./make-folder.ts";

describe("makeFolder", () => {
  const open = async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-make-folder-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    return folder;
  };

  it("makes what is missing with its mode, beside others that do the same, and leaves what is there", async () => {
    const folder = await open();
    const path = join(folder, "a", "b", "c");
    await Promise.all([makeFolder(path, 0o700), makeFolder(path, 0o700), makeFolder(join(folder, "a", "d"), 0o700)]);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o700);
    await makeFolder(path, 0o755);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await makeFolder("/", 0o700);
  });

  it("refuses a place where none can be made", async () => {
    const file = join(await open(), "file");
    await writeFile(file, "");
    await expect(makeFolder(file, 0o700)).rejects.toThrow("EEXIST");
    await expect(makeFolder(join(file, "a"), 0o700)).rejects.toThrow("ENOTDIR");
    await expect(makeFolder(join(file, "a", "b"), 0o700)).rejects.toThrow("ENOTDIR");
  });

  it.runIf(process.platform === "linux")("ends where the system says that what is there is missing", async () => {
    await expect(makeFolder("/proc/sluice-none/work", 0o700)).rejects.toThrow("no folder can be made in /proc");
  });
});
