import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { HoleWriter } from "./hole-writer.ts";

/** What the unpacker has: a stream that opens a file and closes it. */
function openTarget() {
  const events: string[] = [];
  const target = new Writable({ final: (done) => done(void events.push("end")) });
  target.on("error", (error) => events.push(String(error)));
  return { target, events };
}

describe("a writer of files with holes", () => {
  it("writes what comes before the file is open, over zeros wherever they are, and ends the unpacker's stream", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-holes-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = await open(join(folder, "file"), "w");
    const { target, events } = openTarget();
    const writer = new HoleWriter();
    const content = Buffer.alloc(1_000_000);
    for (const at of [0, 20_000, 40_000, 500_000]) content.write("x", at);
    for (let at = 0; at < content.length; at += 99_991) writer.write(content.subarray(at, at + 99_991));
    writer.pipe(target);
    target.emit("open", file.fd);
    await new Promise<void>((done) => writer.end(done));
    expect((await readFile(join(folder, "file"))).equals(content)).toBe(true);
    expect((await file.stat()).blocks * 512).toBeLessThan(300_000);
    expect(events).toEqual(["end"]);
    await file.close();
  });

  it("tells a full disk by the unpacker's stream, once, and swallows the rest", async () => {
    const file = await open("/dev/full", "w");
    const { target, events } = openTarget();
    const writer = new HoleWriter();
    writer.pipe(target);
    target.emit("open", file.fd);
    for (let pieces = 0; pieces < 20; pieces++) writer.write(Buffer.alloc(100_000, "x"));
    await new Promise<void>((done) => writer.end(done));
    expect(events).toEqual([expect.stringContaining("ENOSPC")]);
    await file.close();
  });

  it("swallows all where the file could not be opened", async () => {
    const { target, events } = openTarget();
    const writer = new HoleWriter();
    writer.pipe(target);
    writer.write(Buffer.alloc(100_000, "x"));
    target.emit("error", new Error("EACCES"));
    await new Promise<void>((done) => writer.end(done));
    expect(events).toEqual(["Error: EACCES"]);
  });
});
