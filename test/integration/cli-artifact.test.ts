import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { type Header, pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeTarHeader, tarEnd } from "../../workers/artifacts/tar-header.ts";
import { startCli } from "../support/cli-child.ts";
import { eventually } from "../support/eventually.ts";
import { type FakeApi, startFakeApi } from "../support/fake-api.ts";
import { createFakeArtifact, type FakeJob } from "../support/fake-job.ts";

let fake: FakeApi;
let job: FakeJob;
let folder: string;

beforeEach(async () => {
  fake = await startFakeApi();
  job = fake.addJob("hello", ["unit", "smoke", "none"]);
  folder = await mkdtemp(join(tmpdir(), "sluice-cli-artifact-"));
});

afterEach(async () => {
  await fake.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs `sluice artifact` in the test's folder. */
async function fetchArtifacts(...args: string[]) {
  const cli = startCli(fake, ["artifact", job.id, ...args], { cwd: folder });
  const code = await cli.end();
  return { code, stdout: cli.stdout, stderr: cli.stderr };
}

type Member = Partial<Header> & { name: string; content?: string | Buffer };

/** A `.tar.zst` of these members. */
async function packMembers(members: Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of members) archive.entry(header, content ?? "");
  archive.finalize();
  return zstdCompressSync(Buffer.concat(await Array.fromAsync(archive as AsyncIterable<Buffer>)));
}

describe("sluice artifact", () => {
  it("fetches the artifacts of all tasks that have some, whole, and lists them", async () => {
    const large = Buffer.alloc(3_000_000, "x");
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", large));
    job.addArtifact("smoke", createFakeArtifact("smoke.tar.zst", Buffer.from("small")));
    const { code, stdout, stderr } = await fetchArtifacts("-o", "out/deep");
    expect(code).toBe(0);
    expect((await readdir(join(folder, "out/deep"))).sort()).toEqual(["smoke.tar.zst", "unit.tar.zst"]);
    expect(large.equals(await readFile(join(folder, "out/deep/unit.tar.zst")))).toBe(true);
    expect(stdout).toBe("2 artifacts, 3.0 MB, in out/deep\n");
    expect(stderr).toMatch(/unit\.tar\.zst {2}3\.0 MB/);
  });

  it("sends no token to the store", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("x")));
    expect((await fetchArtifacts("-o", "out")).code).toBe(0);
    const stored = fake.requests.filter(({ path }) => path.startsWith("/store/"));
    expect(stored.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it("fetches those of the tasks named, and says with exit code 5 which of them have none", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("x")));
    job.addArtifact("smoke", createFakeArtifact("smoke.tar.zst", Buffer.from("y")));
    const { code, stderr } = await fetchArtifacts("unit", "none", "-o", "out");
    expect(code).toBe(5);
    expect(stderr).toContain("no artifacts of none");
    expect(await readdir(join(folder, "out"))).toEqual(["unit.tar.zst"]);
  });

  it("tells what it fetched as one JSON document with --json", async () => {
    const artifact = createFakeArtifact("unit.tar.zst", Buffer.from("x"));
    job.addArtifact("unit", artifact);
    const { code, stdout } = await fetchArtifacts("-o", "out", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      job: job.id,
      folder: join(folder, "out"),
      artifacts: [
        {
          task: "unit",
          attempt: 1,
          name: "unit.tar.zst",
          size: 1,
          sha256: artifact.sha256,
          path: join(folder, "out/unit.tar.zst"),
        },
      ],
      without: [],
      expired: [],
      failed: [],
    });
  });

  it("lists what is in one without fetching it, hostile names as text, and says where the list was cut", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("x")));
    const file = { kind: "file" as const, size: 2_000, mode: 0o644, mtime: "2026-01-02T03:04:05.000Z" };
    const files = [
      { ...file, kind: "folder" as const, path: "a", mode: 0o755, size: 0 },
      { ...file, path: "a/\u001b[31mred" },
      { ...file, kind: "link" as const, path: "l", target: "a" },
    ];
    job.files.set("unit", files);
    const { code, stdout, stderr } = await fetchArtifacts("unit", "--list");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^d0755 {6}0 B {2}2026-01-02 \S+ {2}a\/\n-0644 {3}2\.0 kB {2}\S+ \S+ {2}a\/·\[31mred\nl0644 .* l -> a\n… and 1 more: only the first are listed\n$/,
    );
    expect(stderr).toContain("unit.tar.zst  2 files of 4.0 kB");
    expect(fake.requests.some(({ path }) => path.startsWith("/store/"))).toBe(false);
    const asJson = JSON.parse((await fetchArtifacts("unit", "--list", "--json")).stdout) as unknown;
    expect(asJson).toMatchObject({
      job: job.id,
      task: "unit",
      artifacts: [{ name: "unit.tar.zst", listed: 3, files }],
    });
    expect((await fetchArtifacts("none", "--list")).code).toBe(5);
    expect((await fetchArtifacts("--list")).code).toBe(2);
    expect((await fetchArtifacts()).code).toBe(2);
  });

  it("says so when a job has none", async () => {
    const { code, stdout } = await fetchArtifacts("-o", "out");
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${job.id} has no artifacts\n` });
  });

  it.each([
    ["other bytes", Buffer.from("evil!")],
    ["too few bytes", Buffer.from("go")],
    ["too many bytes", Buffer.from("good and more")],
  ])("refuses %s and leaves neither a half nor a wrong file", async (_what, stored) => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("good!")));
    fake.objects.set(`/store/${job.id}/unit/unit.tar.zst`, stored);
    const { code, stderr } = await fetchArtifacts("-o", "out");
    expect(code).toBe(1);
    expect(stderr).toContain("unit.tar.zst could not be fetched");
    expect(await readdir(join(folder, "out"))).toEqual([]);
  });

  it("keeps the file that was there when the new one cannot be had", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("good!")));
    expect((await fetchArtifacts("-o", "out")).code).toBe(0);
    fake.objects.set(`/store/${job.id}/unit/unit.tar.zst`, Buffer.from("evil!"));
    expect((await fetchArtifacts("-o", "out")).code).toBe(1);
    expect(await readFile(join(folder, "out/unit.tar.zst"), "utf8")).toBe("good!");
  });

  it("resumes by a fresh link a download that breaks off or whose link has run out", async () => {
    const large = Buffer.alloc(3_000_000, "0123456789");
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", large));
    fake.fail({ path: /store/, code: "forbidden" });
    fake.fail({ path: /store/, cutMidway: true });
    expect((await fetchArtifacts("-o", "out")).code).toBe(0);
    expect((await readFile(join(folder, "out/unit.tar.zst"))).equals(large)).toBe(true);
    const stored = fake.requests.filter(({ path }) => path.startsWith("/store/"));
    expect(stored.map(({ headers }) => headers["if-match"])).toEqual([undefined, undefined, expect.any(String)]);
    expect(stored.at(-1)?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  it("leaves no half file when it is interrupted", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.alloc(3_000_000, "x")));
    for (let tries = 0; tries < 2; tries++) fake.fail({ path: /store/, cutMidway: true });
    fake.fail({ path: /store/, stalls: true });
    const cli = startCli(fake, ["artifact", job.id, "-o", "out"], { cwd: folder });
    await eventually(() => fake.requests.filter(({ path }) => path.startsWith("/store/")).length === 3, "the stall");
    expect(await readdir(join(folder, "out"))).toEqual([expect.stringMatching(/^\.unit\.tar\.zst\..*\.part$/)]);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    expect(await readdir(join(folder, "out"))).toEqual([]);
  });

  it("says of an artifact whose time is over when it expired, with exit code 5 where it was asked for by name", async () => {
    const expired = { name: "unit.tar.zst", size: 1, sha256: "0".repeat(64), keptUntil: "2026-03-01T10:00:00.000Z" };
    job.expired.set("unit", [expired]);
    const { code, stderr } = await fetchArtifacts("unit", "-o", "out");
    expect(code).toBe(5);
    expect(stderr).toMatch(/unit\.tar\.zst expired on 2026-0[23]-\d\d .*artifacts\.retention/);
  });

  it("names what is missing in the store, and what an artifact lacks", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("good!")));
    fake.objects.set(`/store/${job.id}/unit/unit.tar.zst`, Buffer.alloc(0));
    fake.fail({ path: /store/, code: "not_found" });
    const { code, stderr } = await fetchArtifacts("-o", "out");
    expect(code).toBe(1);
    expect(stderr).toContain("unit.tar.zst could not be fetched: it is not in the store any more");
  });

  it("fetches what running tasks have written so far", async () => {
    for (const task of ["unit", "smoke", "none"]) job.move(task, "running");
    job.live.set("unit", [{ status: "pending" }, createFakeArtifact("unit.tar.zst", Buffer.from("so far"))]);
    job.live.set("smoke", [{ status: "empty", at: new Date().toISOString() }]);
    // It ends in the meantime: its artifact is fetched instead.
    job.addArtifact("none", createFakeArtifact("none.tar.zst", Buffer.from("the end")));
    const { code, stderr } = await fetchArtifacts("-o", "out");
    expect(code).toBe(0);
    expect(stderr).toMatch(/unit is running: asking its worker[\s\S]*unit\.tar\.zst {2}6 B {2}as it was at /);
    expect(await readFile(join(folder, "out/unit.tar.zst"), "utf8")).toBe("so far");
    expect((await readdir(join(folder, "out"))).sort()).toEqual(["none.tar.zst", "unit.tar.zst"]);
    job.live.set("unit", [{ status: "lost", detail: "its worker w-1 does not answer any more" }]);
    const lost = await fetchArtifacts("unit", "-o", "out");
    expect(lost.code).toBe(1);
    expect(lost.stderr).toContain("what unit has written so far could not be had: its worker w-1 does not answer");
  });

  it("says what is in the way of its folder", async () => {
    await writeFile(join(folder, "out"), "a file");
    const { code, stderr } = await fetchArtifacts("-o", "out");
    expect(code).toBe(1);
    expect(stderr).toContain("a file is in the way");
  });

  it.runIf(process.platform === "linux")("says so where the system lets nobody make a folder", async () => {
    const { code, stderr } = await fetchArtifacts("-o", "/proc/sluice-none/out");
    expect(code).toBe(1);
    expect(stderr).toContain("no folder can be made there (no folder can be made in /proc)");
  });

  it("writes nothing outside its folder, whatever an artifact is called", async () => {
    job.addArtifact("unit", createFakeArtifact("../escape.tar.zst", Buffer.from("x")));
    const { code, stderr } = await fetchArtifacts("-o", "out");
    expect(code).toBe(1);
    expect(stderr).toContain("which is no file name");
    expect(await readdir(folder)).toEqual(["out"]);
  });

  it("unpacks nothing outside its folder either", async () => {
    const body = await packMembers([{ name: "escaped", content: "x" }]);
    job.addArtifact("unit", createFakeArtifact("...tar.zst", body));
    const { code, stderr } = await fetchArtifacts("-o", "out", "--extract");
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("which is no file name") });
    expect(await readdir(folder)).toEqual(["out"]);
  });
});

describe("sluice artifact --extract", () => {
  it("unpacks each artifact into a folder of its own, with modes and links", async () => {
    const body = await packMembers([
      { name: "report/", type: "directory" },
      { name: "report/run.sh", mode: 0o755, content: "#!/bin/sh\n" },
      { name: "latest", type: "symlink", linkname: "report/run.sh" },
      { name: "setuid", mode: 0o4755, content: "x" },
    ]);
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", body));
    const { code, stderr } = await fetchArtifacts("-o", "out", "--extract");
    expect(code).toBe(0);
    expect(stderr).toContain("3 files of");
    expect(await readdir(join(folder, "out"))).toEqual(["unit"]);
    expect(await readFile(join(folder, "out/unit/latest"), "utf8")).toBe("#!/bin/sh\n");
    expect((await stat(join(folder, "out/unit/report/run.sh"))).mode & 0o777).toBe(0o755);
    expect((await stat(join(folder, "out/unit/setuid"))).mode & 0o7000).toBe(0);
  });

  it("gives files holes where they have nothing but zeros", async () => {
    const holey = Buffer.alloc(8_000_000);
    holey.write("in the middle", 5_000_000);
    const full = Buffer.alloc(2_000_000, "0123456789");
    const body = await packMembers([
      { name: "holey", content: holey, mode: 0o600, mtime: new Date(1_234_567_890_000) },
      { name: "empty", content: Buffer.alloc(3_000_000) },
      { name: "full", content: full },
    ]);
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", body));
    expect((await fetchArtifacts("-o", "out", "--extract")).code).toBe(0);
    const at = (name: string) => join(folder, "out/unit", name);
    expect((await readFile(at("holey"))).equals(holey)).toBe(true);
    expect((await readFile(at("empty"))).equals(Buffer.alloc(3_000_000))).toBe(true);
    expect((await readFile(at("full"))).equals(full)).toBe(true);
    const { blocks, mode, mtimeMs } = await stat(at("holey"));
    expect({ mode: mode & 0o777, mtimeMs }).toEqual({ mode: 0o600, mtimeMs: 1_234_567_890_000 });
    expect(blocks * 512).toBeLessThan(1_000_000);
  });

  it("lets nothing out of the folder and says what it left out", async () => {
    const outside = join(folder, "outside");
    const body = await packMembers([
      { name: "../escape", content: "x" },
      { name: "/absolute", content: "x" },
      { name: "up", type: "symlink", linkname: "../../outside" },
      { name: "up/through", content: "x" },
      { name: "hard", type: "link", linkname: "../../secret" },
      { name: "hosts", type: "symlink", linkname: "/etc/hosts" },
      { name: "lost", type: "link", linkname: "missing" },
      { name: "device", type: "character-device", devmajor: 1, devminor: 3 },
      { name: "fine", content: "fine" },
    ]);
    await writeFile(join(folder, "secret"), "secret");
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", body));
    const { code, stderr } = await fetchArtifacts("-o", "out", "--extract");
    expect(code).toBe(0);
    expect(stderr).toContain("3 files of");
    const notes = stderr.split("\n").flatMap((line) => /^ {4}(.*)/.exec(line)?.[1] ?? []);
    expect(notes.sort()).toEqual([
      "left out: ../escape: it would be outside of the folder",
      "left out: device: not a file, folder or link",
      "left out: hard: a link to ../../secret, outside of the folder",
      "left out: hosts: a link to /etc/hosts, outside of the folder",
      "left out: lost: a link to missing, which is not there",
      "left out: up: a link to ../../outside, outside of the folder",
      "unpacked: /absolute as absolute",
    ]);
    await expect(lstat(join(folder, "out/unit/hosts"))).rejects.toThrow("ENOENT");
    await expect(lstat(outside)).rejects.toThrow("ENOENT");
    await expect(lstat(join(folder, "escape"))).rejects.toThrow("ENOENT");
    await expect(lstat(join(folder, "out/escape"))).rejects.toThrow("ENOENT");
    await expect(lstat(join(folder, "out/unit/device"))).rejects.toThrow("ENOENT");
    await expect(lstat(join(folder, "out/unit/hard"))).rejects.toThrow("ENOENT");
    expect(await readFile(join(folder, "out/unit/fine"), "utf8")).toBe("fine");
  });

  it("says which names it cannot give, because they are too long or not UTF-8", async () => {
    const names = ["caf\xe8", "caf\xe9", `${`${"d".repeat(200)}/`.repeat(25)}f`];
    const members = names.map((name) =>
      encodeTarHeader({ kind: "file", name: Buffer.from(name, "latin1"), mode: 0o644, mtimeMs: 0, size: 0 }),
    );
    const body = zstdCompressSync(Buffer.concat([...members, tarEnd]));
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", body));
    const { code, stderr } = await fetchArtifacts("-o", "out", "--extract");
    expect(stderr).toContain("unpacked: caf\ufffd, for its name is not UTF-8");
    expect(stderr).toContain("left out: caf\ufffd: its name is not UTF-8, and another one looks the same");
    expect(stderr).toMatch(/left out: d+\/.*: its path is longer than this system takes/);
    expect(code).toBe(0);
    expect(await readdir(join(folder, "out/unit"))).toContain("caf\ufffd");
  });

  it("does not follow a link that lies in its way", async () => {
    await writeFile(join(folder, "victim"), "untouched");
    const body = await packMembers([{ name: "file", content: "new" }]);
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", body));
    expect((await fetchArtifacts("-o", "out", "--extract")).code).toBe(0);
    await rm(join(folder, "out/unit/file"));
    await symlink("../../victim", join(folder, "out/unit/file"));
    expect(await readlink(join(folder, "out/unit/file"))).toBe("../../victim");
    expect((await fetchArtifacts("-o", "out", "--extract")).code).toBe(0);
    expect(await readFile(join(folder, "victim"), "utf8")).toBe("untouched");
    expect(await readFile(join(folder, "out/unit/file"), "utf8")).toBe("new");
  });

  it("fails on an archive that is none", async () => {
    job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("not zstd")));
    const { code, stderr } = await fetchArtifacts("-o", "out", "--extract");
    expect(code).toBe(1);
    expect(stderr).toContain("unit.tar.zst cannot be unpacked");
  });
});
