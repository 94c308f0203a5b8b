import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { ImageLedger } from "./image-ledger.ts";

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-ledger-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

const image = { name: "r.io/a/b:1", imageId: "sha256:1", bytes: 10 };

describe("ImageLedger", () => {
  it("tells what was brought, when it was last used and whether a task needs it", async () => {
    const folder = await makeFolder();
    const ledger = new ImageLedger(folder);
    await ledger.add(image);
    const [file = ""] = await readdir(folder);
    await utimes(join(folder, file), 1_000, 1_000);
    expect(await ledger.list()).toEqual([{ ...image, lastUsedMs: 1_000_000, isHeld: false }]);
    const releases = [ledger.hold(image.name), ledger.hold(image.name)];
    // Another worker sees by the time that it is needed.
    await ledger.touchHeld();
    const [seen] = await new ImageLedger(folder).list();
    expect(seen).toMatchObject({ isHeld: false });
    expect(seen?.lastUsedMs).toBeGreaterThan(Date.now() - 60_000);
    releases[0]?.();
    releases[0]?.();
    expect(ledger.isHeld(image.name)).toBe(true);
    releases[1]?.();
    expect(ledger.isHeld(image.name)).toBe(false);
  });

  it("is whole whoever writes at the same time, and keeps nothing that cannot be read", async () => {
    const folder = await makeFolder();
    const ledgers = [new ImageLedger(folder), new ImageLedger(folder)];
    await Promise.all(ledgers.flatMap((ledger) => [ledger.add(image), ledger.add({ ...image, bytes: 11 })]));
    await writeFile(join(folder, "broken.json"), "{");
    expect(await ledgers[0]?.list()).toHaveLength(1);
    expect(await readdir(folder)).toHaveLength(1);
    await ledgers[1]?.forget(image.name);
    await ledgers[0]?.touch(image.name);
    expect(await ledgers[0]?.list()).toEqual([]);
  });
});
