import { createHash, randomBytes } from "node:crypto";
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { zstdDecompressSync } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ObjectStore, StreamOptions } from "../../shared/clients/object-store.ts";
import { artifactListLimits, parseMembers } from "../../shared/domain/artifact-list.ts";
import { removeTree } from "../workspace.ts";
import { storeArtifact } from "./artifact.ts";
import { MemberList } from "./member-list.ts";
import { walkOutput } from "./output-files.ts";
import { type OutputProblem, UnreadableOutput } from "./output-problem.ts";
import type { OutputPatterns } from "./output-selector.ts";
import { createTarArchive } from "./tar-archive.ts";

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
function memoryBucket() {
  const stored = new Map<string, { content: Buffer; options: StreamOptions }>();
  const objects = {
    putStream: async (key: string, body: Readable, options: StreamOptions) => {
      stored.set(key, { content: Buffer.concat(await Array.fromAsync(body as AsyncIterable<Buffer>)), options });
    },
  } as Partial<ObjectStore> as ObjectStore;
  return { objects, stored };
}

type Members = Map<string, { header: Header; content: Buffer }>;

async function unpack(tar: Buffer): Promise<Members> {
  const members: Members = new Map();
  const reader = extract();
  Readable.from([tar]).pipe(reader);
  for await (const entry of reader) {
    const content = Buffer.concat(await Array.fromAsync(entry as AsyncIterable<Buffer>));
    members.set(entry.header.name, { header: entry.header, content });
  }
  return members;
}

async function store(outputDir: string, patterns: OutputPatterns = { paths: ["**"] }, keepMs?: number) {
  const { objects, stored } = memoryBucket();
  const signal = new AbortController().signal;
  const mask = (text: string) => text.replaceAll("hunter2", "***");
  const place = { objects, key: "k", listKey: "l", name: "t.tar.zst", outputDir };
  const kept = await storeArtifact({ ...place, patterns, keepMs, mask, signal });
  const { content, options } = stored.get("k") ?? {};
  const list = stored.get("l");
  const listed = list === undefined ? [] : parseMembers(zstdDecompressSync(list.content).toString("utf8"));
  const tar = content === undefined ? Buffer.alloc(0) : zstdDecompressSync(content);
  return { ...kept, content, list, listed, tags: options?.tags, tar, members: await unpack(tar) };
}

/** The members of an archive of a folder in which something happens between two reads. */
async function archiveWhile(dir: string, happening: (name: string) => Promise<void>) {
  const problems: OutputProblem[] = [];
  const note = (problem: OutputProblem) => void problems.push(problem);
  async function* entries() {
    for await (const entry of walkOutput(dir, { paths: ["**"] }, note)) {
      await happening(entry.name.toString());
      yield entry;
    }
  }
  const tar = Buffer.concat(await Array.fromAsync(createTarArchive(entries(), note)));
  return { problems, members: await unpack(tar) };
}

describe("the output that is kept", () => {
  const names = async (dir: string, paths: string[], exclude?: string[]) => [
    ...(await store(dir, { paths, exclude })).members.keys(),
  ];

  it("is everything by default, with hidden files and empty folders", async () => {
    const dir = await makeOutput({ ".coverage": "", "a/b/c.txt": "" });
    await mkdir(join(dir, "empty"));
    expect(await names(dir, ["**"])).toEqual([".coverage", "a/", "a/b/", "a/b/c.txt", "empty/"]);
  });

  it("is what a pattern names, all of a folder that matches, without what is excluded", async () => {
    const dir = await makeOutput({ "r/a.xml": "", "r/b.log": "", "r/.tmp/x.xml": "", "s/c.xml": "", "d.xml": "" });
    expect(await names(dir, ["**/*.xml"])).toEqual(["d.xml", "r/.tmp/x.xml", "r/a.xml", "s/c.xml"]);
    expect(await names(dir, ["r"])).toEqual(["r/", "r/.tmp/", "r/.tmp/x.xml", "r/a.xml", "r/b.log"]);
    expect(await names(dir, ["r/", "!r/.tmp", "!**/*.log"])).toEqual(["r/", "r/a.xml"]);
    expect(await names(dir, ["r/"], ["r/.tmp/", "**/*.log"])).toEqual(["r/", "r/a.xml"]);
    // An excluded folder takes all that it holds with it, whatever else names that.
    expect(await names(dir, ["**"], ["r"])).toEqual(["d.xml", "s/", "s/c.xml"]);
    expect(await names(dir, ["**/*.xml"], ["r"])).toEqual(["d.xml", "s/c.xml"]);
    expect(await names(dir, ["!**/*.xml"])).toEqual(["r/", "r/.tmp/", "r/b.log", "s/"]);
  });

  it("is nothing where nothing matches, or there is no output", async () => {
    const dir = await makeOutput({ "a.txt": "a" });
    expect(await store(dir, { paths: ["*.xml"] })).toMatchObject({ problems: [], content: undefined });
    expect(await store(join(dir, "gone"))).toMatchObject({ problems: [], content: undefined });
  });
});

describe("storeArtifact", () => {
  it("round-trips contents, modes, times, links, folders and long names, and tells size and sha256", async () => {
    const longName = `${"deep/".repeat(40)}${"n".repeat(120)}-é.txt`;
    const large = Buffer.alloc(5_000_001, "0123456789");
    const dir = await makeOutput({ "run.sh": "#!/bin/sh\n", "large.bin": large, [longName]: "far down", empty: "" });
    await chmod(join(dir, "run.sh"), 0o755);
    await utimes(join(dir, "run.sh"), 1_000_000_000, 1_234_567_890);
    await symlink("../outside", join(dir, "link"));
    await symlink(`/${"far/".repeat(60)}`, join(dir, "long-link"));
    const { artifact, content = Buffer.alloc(0), members, problems, tags } = await store(dir);
    const sha256 = createHash("sha256").update(content).digest("hex");
    expect(artifact).toMatchObject({ key: "k", name: "t.tar.zst", size: content.length, sha256 });
    expect({ problems, tags }).toEqual({ problems: [], tags: {} });
    expect(members.get("run.sh")?.header).toMatchObject({ mode: 0o755, mtime: new Date(1_234_567_890_000) });
    expect(members.get("large.bin")?.content.equals(large)).toBe(true);
    expect(members.get(longName)?.content.toString()).toBe("far down");
    expect(members.get("link")?.header).toMatchObject({ type: "symlink", linkname: "../outside" });
    expect(members.get("long-link")?.header.linkname).toBe(`/${"far/".repeat(60)}`);
    expect(members.get("deep/")?.header.type).toBe("directory");
    expect(members.get("empty")?.content.length).toBe(0);
  });

  it("archives a thousand small files in order", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 1000 }, (_, n) => [`f${String(n).padStart(4, "0")}`, `${n}`]),
    );
    const { members } = await store(await makeOutput(files));
    expect([...members.keys()]).toEqual(Object.keys(files));
    expect([...members.values()].map(({ content }) => content.toString())).toEqual(Object.values(files));
  });

  it("takes names of any bytes, and paths longer than the system takes", async () => {
    const dir = await makeOutput({ "two\nlines": "x", "quo'te\\": "y" });
    const latin1 = Buffer.from([...Buffer.from("caf"), 0xe9]);
    await writeFile(Buffer.concat([Buffer.from(`${dir}/`), latin1]), "z");
    // Longer than any path may be: built from below, each half moved under the next.
    const level = "d".repeat(200);
    const build = join(dir, "build");
    await mkdir(join(build, ...Array.from({ length: 15 }, () => level)), { recursive: true });
    const half = join(dir, "half");
    await mkdir(join(half, ...Array.from({ length: 15 }, () => level)), { recursive: true });
    await writeFile(join(half, level, "deep.txt"), "deep");
    await rename(half, join(build, ...Array.from({ length: 15 }, () => level), "half"));
    const { members, tar, problems } = await store(dir);
    expect(problems).toEqual([]);
    expect(members.get("two\nlines")?.content.toString()).toBe("x");
    expect(members.get("quo'te\\")?.content.toString()).toBe("y");
    expect(tar.includes(Buffer.concat([latin1, Buffer.alloc(1)]))).toBe(true);
    const deepest = [...members.keys()].reduce((a, b) => (a.length > b.length ? a : b));
    expect(deepest.length).toBeGreaterThan(4096);
    expect([...members.values()].some(({ content }) => content.toString() === "deep")).toBe(true);
    expect(await removeTree(build)).toBe(true);
    expect(await readdir(dir)).not.toContain("build");
  });

  it("stores a file with holes small and gives it back right", async () => {
    const dir = await makeOutput({});
    const file = await open(join(dir, "sparse"), "w");
    await file.write("end", 64 * 1024 * 1024);
    await file.close();
    const { artifact, members } = await store(dir);
    expect(artifact?.size).toBeLessThan(64 * 1024);
    const content = members.get("sparse")?.content ?? Buffer.alloc(0);
    expect(content.length).toBe(64 * 1024 * 1024 + 3);
    expect(content.subarray(-3).toString()).toBe("end");
    expect(content.subarray(0, -3).equals(Buffer.alloc(64 * 1024 * 1024))).toBe(true);
  });

  it.runIf(process.env.SLUICE_SCALE === "full")("streams 2 GB with flat memory", { timeout: 600_000 }, async () => {
    const dir = await makeOutput({});
    const block = randomBytes(1_000_000);
    const file = await open(join(dir, "large"), "w");
    for (let megabytes = 0; megabytes < 2_000; megabytes++) await file.write(block);
    await file.close();
    let peakBytes = 0;
    const before = process.memoryUsage.rss();
    const objects = {
      putStream: async (_key: string, body: Readable) => {
        for await (const _ of body) peakBytes = Math.max(peakBytes, process.memoryUsage.rss() - before);
      },
    } as Partial<ObjectStore> as ObjectStore;
    const { signal } = new AbortController();
    const mask = (text: string) => text;
    const options = { objects, key: "k", name: "t", outputDir: dir, patterns: { paths: ["**"] }, mask, signal };
    await storeArtifact(options);
    expect(peakBytes).toBeLessThan(300_000_000);
  });

  it("tags what is kept for a time with the next longer time that the bucket has a rule for", async () => {
    const dir = await makeOutput({ a: "a" });
    const before = Date.now();
    const { artifact, tags } = await store(dir, { paths: ["**"] }, 4 * 24 * 3_600_000);
    expect(tags).toEqual({ "sluice-retention-days": "5" });
    expect(Date.parse(artifact?.keptUntil ?? "")).toBeGreaterThanOrEqual(before + 4 * 24 * 3_600_000);
  });

  it("ends with the reason when it is given up", async () => {
    const dir = await makeOutput({ "a.txt": "a", large: Buffer.alloc(9_000_000) });
    const stop = new AbortController();
    const objects = {
      putStream: async (_key: string, body: Readable) => {
        stop.abort(new Error("lease lost"));
        for await (const _ of body);
      },
    } as Partial<ObjectStore> as ObjectStore;
    const { signal } = stop;
    const mask = (text: string) => text;
    const options = { objects, key: "k", name: "t", outputDir: dir, patterns: { paths: ["**"] }, mask, signal };
    await expect(storeArtifact(options)).rejects.toThrow("lease lost");
  });
});

describe("output that is written to while it is read", () => {
  it("lacks what vanished, is not followed where links took its place, and is whole otherwise", async () => {
    const elsewhere = await makeOutput({ secret: "of the machine", "in/secret": "of the machine" });
    const dir = await makeOutput({ a: "a", gone: "", "in/b": "b", linked: "c", piped: "d", turned: "e", z: "z" });
    const { problems, members } = await archiveWhile(dir, async (name) => {
      if (name === "gone") await rm(join(dir, name));
      if (name === "linked") await rm(join(dir, name)).then(() => symlink(join(elsewhere, "secret"), join(dir, name)));
      if (name === "turned") await rm(join(dir, name)).then(() => mkdir(join(dir, name)));
      // The folder was opened already: what takes its place is not looked into.
      if (name === "in")
        await rename(join(dir, "in"), join(dir, "moved")).then(() => symlink(elsewhere, join(dir, "in")));
    });
    expect(problems.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual([
      "changed gone",
      "changed linked",
      "changed turned",
    ]);
    expect(
      [...members].filter(([name]) => !name.endsWith("/")).map(([name, { content }]) => `${name}=${content}`),
    ).toEqual(["a=a", "in/b=b", "piped=d", "z=z"]);
  });

  it("is filled up with zeros, and told, where a large file became shorter", async () => {
    const dir = await makeOutput({ large: Buffer.alloc(3_000_000, "x"), next: "n" });
    const problems: OutputProblem[] = [];
    const archive = createTarArchive(
      walkOutput(dir, { paths: ["**"] }, () => undefined),
      (p) => problems.push(p),
    );
    const pieces: Buffer[] = [];
    for await (const piece of archive) {
      // The header is out.
      if (pieces.push(piece) === 1) await truncate(join(dir, "large"), 10);
    }
    const members = await unpack(Buffer.concat(pieces));
    expect(members.get("large")?.content.length).toBe(3_000_000);
    expect(members.get("next")?.content.toString()).toBe("n");
    expect(problems).toEqual([
      { kind: "changed", name: "large", why: "it became shorter while it was archived; its end is filled with zeros" },
    ]);
  });
});

describe("output that a job tampered with", () => {
  it("reads nothing through a link in the place of the output folder, nor takes a file for one", async () => {
    const elsewhere = await makeOutput({ "secret.txt": "of the machine" });
    const dir = await makeOutput({ file: "a file" });
    await symlink(elsewhere, join(dir, "output"));
    await expect(store(join(dir, "output"))).rejects.toThrow(UnreadableOutput);
    await expect(store(join(dir, "file"))).rejects.toThrow("something else in the place of its output folder");
  });

  it("names what cannot be read, as one line of text, and keeps the rest", async () => {
    const dir = await makeOutput({ fine: "fine" });
    await mkdir(join(dir, ...Array.from({ length: 250 }, () => "d"), "hunter2"), { recursive: true });
    const { artifact, members } = await store(dir);
    expect(artifact?.incomplete).toMatch(/^'…[d/]+\*\*\*': it is nested deeper than 250 folders$/);
    expect(members.get("fine")?.content.toString()).toBe("fine");
  });
});

describe("the list of what is in it", () => {
  it("names each member as it was packed, hides secrets, and expires with the archive", async () => {
    const large = Buffer.alloc(1_000_000);
    const dir = await makeOutput({ "a/hunter2.txt": "abc", "large.bin": large });
    await chmod(join(dir, "large.bin"), 0o640);
    await utimes(join(dir, "large.bin"), 1, 1_234_567_890);
    await symlink("../hunter2", join(dir, "link"));
    const { artifact, list, listed } = await store(dir, { paths: ["**"] }, 60_000);
    expect(artifact?.content).toEqual({ members: 4, files: 2, bytes: 1_000_003 });
    const sha256 = createHash("sha256")
      .update(list?.content ?? "")
      .digest("hex");
    expect(artifact?.list).toEqual({ key: "l", size: list?.content.length, sha256, members: 4 });
    expect(list?.options.tags).toEqual({ "sluice-retention-days": "1" });
    expect(listed.map(({ kind, path, size, target }) => ({ kind, path, size, target }))).toEqual([
      { kind: "folder", path: "a", size: 0 },
      { kind: "file", path: "a/***.txt", size: 3 },
      { kind: "file", path: "large.bin", size: 1_000_000 },
      { kind: "link", path: "link", size: 0, target: "../***" },
    ]);
    expect(listed[2]).toMatchObject({ mode: 0o640, mtimeMs: 1_234_567_890_000 });
  });

  it("leaves the artifact standing where it cannot be stored, and says so", async () => {
    const dir = await makeOutput({ x: "x" });
    const { objects } = memoryBucket();
    const putStream: ObjectStore["putStream"] = (key, body, options) =>
      key === "l" ? Promise.reject(new Error("refused")) : objects.putStream(key, body, options);
    const told: string[] = [];
    const { artifact } = await storeArtifact({
      ...{ objects: { ...objects, putStream }, key: "k", listKey: "l", name: "t", outputDir: dir },
      ...{ patterns: { paths: ["**"] }, mask: (text: string) => text, signal: new AbortController().signal },
      onUnlisted: ({ message }) => told.push(message),
    });
    expect({ told, list: artifact?.list, files: artifact?.content?.files }).toEqual({
      told: ["refused"],
      list: undefined,
      files: 1,
    });
  });

  it("shows bytes that are no text, name by name, and ends where there are too many", () => {
    const list = new MemberList((text) => text);
    const add = (name: Buffer) => list.add({ kind: "file", name, mode: 0o100644, mtimeMs: Number.MAX_VALUE, size: 1 });
    add(Buffer.concat([Buffer.from("ü/"), Buffer.from([0xff, 0x0a])]));
    for (let count = 1; count < artifactListLimits.members + 5; count++) add(Buffer.from(`f${count}`));
    expect(list.content).toEqual({ members: 100_005, files: 100_005, bytes: 100_005 });
    const members = parseMembers(list.takeText().toString("utf8"));
    expect(members).toHaveLength(artifactListLimits.members);
    expect(members[0]).toEqual({ kind: "file", path: "ü/\\xff\\x0a", size: 1, mode: 0o644, mtimeMs: 8.64e15 });
  });
});
