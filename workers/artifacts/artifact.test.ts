import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { zstdDecompressSync } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { createLogger } from "../../shared/log.ts";
import { storeArtifact } from "./artifact.ts";
import { listOutputFiles } from "./output-files.ts";
import { createTarArchive } from "./tar-archive.ts";
import { UnreadableOutput } from "./unreadable-output.ts";

const log = createLogger("test", { level: "silent" });

async function makeOutput(files: Record<string, string | Buffer>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-artifact-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), content);
  }
  return dir;
}

/** A bucket of which only the streamed upload is used. */
function memoryBucket(): { objects: ObjectStore; stored: Map<string, Buffer> } {
  const stored = new Map<string, Buffer>();
  const objects = {
    putStream: async (key: string, body: Readable) => {
      const pieces: Buffer[] = [];
      for await (const piece of body) pieces.push(piece as Buffer);
      stored.set(key, Buffer.concat(pieces));
    },
  } as Partial<ObjectStore> as ObjectStore;
  return { objects, stored };
}

async function unpack(archive: Buffer): Promise<{ header: Header; content: Buffer }[]> {
  const members: { header: Header; content: Buffer }[] = [];
  const reader = extract();
  Readable.from([zstdDecompressSync(archive)]).pipe(reader);
  for await (const entry of reader) {
    const pieces: Buffer[] = [];
    for await (const piece of entry) pieces.push(piece as Buffer);
    members.push({ header: entry.header, content: Buffer.concat(pieces) });
  }
  return members;
}

async function store(outputDir: string, patterns: readonly string[] = ["**"]) {
  const { objects, stored } = memoryBucket();
  const signal = new AbortController().signal;
  const artifact = await storeArtifact({ objects, key: "k", name: "t.tar.zst", outputDir, patterns, signal, log });
  return { artifact, bytes: stored.get("k") };
}

describe("listOutputFiles", () => {
  const names = async (dir: string, patterns: string[]) =>
    (await listOutputFiles(dir, patterns)).map((file) => file.name);

  it("finds everything by default, with hidden files and empty folders", async () => {
    const dir = await makeOutput({ ".coverage": "", "a/b/c.txt": "" });
    await mkdir(join(dir, "empty"));
    expect(await names(dir, ["**"])).toEqual([".coverage", "a", "a/b", "a/b/c.txt", "empty"]);
  });

  it("finds what a pattern names, all of a folder that matches, and leaves out what is excluded", async () => {
    const dir = await makeOutput({ "r/a.xml": "", "r/b.log": "", "r/.tmp/x.xml": "", "s/c.xml": "", "d.xml": "" });
    expect(await names(dir, ["**/*.xml"])).toEqual(["d.xml", "r/.tmp/x.xml", "r/a.xml", "s/c.xml"]);
    expect(await names(dir, ["r"])).toEqual(["r", "r/.tmp", "r/.tmp/x.xml", "r/a.xml", "r/b.log"]);
    expect(await names(dir, ["r/", "!r/.tmp", "!**/*.log"])).toEqual(["r", "r/a.xml"]);
    expect(await names(dir, ["nothing"])).toEqual([]);
  });
});

describe("storeArtifact", () => {
  it("stores nothing where nothing matches", async () => {
    const dir = await makeOutput({ "a.txt": "a" });
    expect(await store(dir, ["*.xml"])).toEqual({ artifact: undefined, bytes: undefined });
  });

  it("round-trips contents, modes, links, folders and long names, and tells size and sha256", async () => {
    const longName = `${"deep/".repeat(40)}${"n".repeat(120)}-é.txt`;
    const large = Buffer.alloc(700_001, "0123456789");
    const dir = await makeOutput({ "run.sh": "#!/bin/sh\n", "large.bin": large, [longName]: "far down", empty: "" });
    await chmod(join(dir, "run.sh"), 0o755);
    await symlink("../outside", join(dir, "link"));
    const { artifact, bytes } = await store(dir);
    if (!bytes) throw new Error("nothing was stored");
    expect(artifact).toEqual({
      key: "k",
      name: "t.tar.zst",
      size: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    });
    const members = new Map((await unpack(bytes)).map((member) => [member.header.name, member]));
    expect(members.get("run.sh")?.header.mode).toBe(0o755);
    expect(members.get("large.bin")?.content.equals(large)).toBe(true);
    expect(members.get(longName)?.content.toString()).toBe("far down");
    expect(members.get("link")?.header).toMatchObject({ type: "symlink", linkname: "../outside" });
    expect(members.get("deep/")?.header.type).toBe("directory");
    expect(members.get("empty")?.content.length).toBe(0);
  });

  it("archives a thousand small files in order", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 1000 }, (_, n) => [`f${String(n).padStart(4, "0")}`, `${n}`]),
    );
    const { bytes } = await store(await makeOutput(files));
    const members = await unpack(bytes ?? Buffer.alloc(0));
    expect(members.map((member) => member.header.name)).toEqual(Object.keys(files));
    expect(members.map((member) => member.content.toString())).toEqual(Object.values(files));
  });

  it("names the file that cannot be read, and leaves out one that is gone", async () => {
    const dir = await makeOutput({ "a.txt": "a", "gone.txt": "", "turned.txt": "" });
    const files = await listOutputFiles(dir, ["**"]);
    await rm(join(dir, "gone.txt"));
    const gone: string[] = [];
    for await (const _ of createTarArchive(files, (name) => gone.push(name)));
    expect(gone).toEqual(["gone.txt"]);
    await rm(join(dir, "turned.txt"));
    await mkdir(join(dir, "turned.txt"));
    const archive = createTarArchive(files, () => undefined);
    await expect(Array.fromAsync(archive)).rejects.toThrow("output file 'turned.txt' cannot be read: EISDIR");
  });

  it("ends with the reason when it is given up", async () => {
    const dir = await makeOutput({ "a.txt": "a" });
    const stop = new AbortController();
    const objects = {
      putStream: async (_key: string, body: Readable) => {
        stop.abort(new Error("lease lost"));
        for await (const _ of body);
      },
    } as Partial<ObjectStore> as ObjectStore;
    const options = { objects, key: "k", name: "t", outputDir: dir, patterns: ["**"], signal: stop.signal, log };
    await expect(storeArtifact(options)).rejects.toThrow();
  });
});

describe("output that a job tampered with", () => {
  it("reads nothing through a link in the place of the output folder", async () => {
    const elsewhere = await makeOutput({ "secret.txt": "of the machine" });
    const dir = await makeOutput({});
    await symlink(elsewhere, join(dir, "output"));
    await expect(store(join(dir, "output"))).rejects.toThrow(UnreadableOutput);
  });

  it("refuses a file in the place of the output folder, and takes a missing folder for no output", async () => {
    const dir = await makeOutput({ output: "a file" });
    await expect(store(join(dir, "output"))).rejects.toThrow(UnreadableOutput);
    expect((await store(join(dir, "gone"))).artifact).toBeUndefined();
  });

  it.each([16, 256 * 1024])("does not follow a link that took the place of a file of %i bytes", async (bytes) => {
    const elsewhere = await makeOutput({ secret: Buffer.alloc(bytes, "s") });
    const dir = await makeOutput({ file: Buffer.alloc(bytes, "f") });
    const files = await listOutputFiles(dir, ["**"]);
    await rm(join(dir, "file"));
    await symlink(join(elsewhere, "secret"), join(dir, "file"));
    const archive = Readable.from(createTarArchive(files, () => undefined));
    await expect(archive.toArray()).rejects.toThrow(UnreadableOutput);
  });

  it("names a file whose name is not UTF-8", async () => {
    const dir = await makeOutput({});
    await writeFile(Buffer.concat([Buffer.from(`${dir}/caf`), Buffer.from([0xe9])]), "x");
    await expect(store(dir)).rejects.toThrow("has a name that is not UTF-8");
  });
});
