import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// Needs root, debootstrap and a mirror of Debian: SLUICE_SCALE=full, and SLUICE_DEBIAN_MIRROR where the mirror is another.
const full = process.env.SLUICE_SCALE === "full";
const mirror = process.env.SLUICE_DEBIAN_MIRROR ?? "http://deb.debian.org/debian";
const run = promisify(execFile);
const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));

interface Said {
  code: number;
  stdout: string;
  /** What it printed on either way. */
  text: string;
}

describe.runIf(full)("the install script on a bare Debian", () => {
  let folder: string;
  let root: string;
  const hash = async (name: string) =>
    createHash("sha256")
      .update(await readFile(join(root, "work", name)))
      .digest("hex");

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-debian-"));
    root = join(folder, "root");
    await run("debootstrap", ["--variant=minbase", "--include=curl,xz-utils", "bookworm", root, mirror]);
    const work = join(root, "work");
    await mkdir(work);
    await run(process.execPath, [script("build-worker.ts"), join(work, "worker.mjs")]);
    await cp(script("install-worker.sh"), join(work, "install-worker.sh"));
    await cp(script("worker/sluice-worker.service"), join(work, "sluice-worker.service"));
    await writeFile(join(work, "token"), "hush\n");
    // Node as it is packed at nodejs.org: in a folder of its own.
    await mkdir(join(folder, "node-v24", "bin"), { recursive: true });
    await cp(process.execPath, join(folder, "node-v24", "bin", "node"), { dereference: true });
    await run("sh", ["-c", `tar -C "$0" -cf - node-v24 | xz -0 > "$1"`, folder, join(work, "node.tar.xz")]);
  }, 900_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs a program there as root, with its own processes and without any network. */
  async function inside(...command: string[]): Promise<Said> {
    const enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"';
    const args = ["--mount", "--pid", "--fork", "--net", "sh", "-c", enter, root, ...command];
    try {
      const { stdout, stderr } = await run("unshare", args);
      return { code: 0, stdout, text: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, text: stdout + stderr };
    }
  }
  const install = (...args: string[]) =>
    inside("bash", "/work/install-worker.sh", "install", "--no-docker", "--bundle", "/work/worker.mjs", ...args);
  const readConfig = async () =>
    (await readFile(join(root, "etc/sluice/worker.env"), "utf8")).trim().split("\n").sort();

  it("refuses files that are not what they should be, before anything is put in place", async () => {
    expect(await install("--sha256", "0".repeat(64))).toMatchObject({
      code: 1,
      text: expect.stringContaining("SHA-256"),
    });
    const node = await install("--node", "/work/node.tar.xz", "--node-sha256", "0".repeat(64));
    expect(node).toMatchObject({ code: 1, text: expect.stringContaining("SHA-256 differs") });
    expect(await readdir(join(root, "opt/sluice"))).toEqual([]);
    expect(await install()).toMatchObject({ code: 1, text: expect.stringContaining("there is no Node 24") });
  });

  it("makes a worker of it without any network, readable by its user only", async () => {
    const files = ["--node", "/work/node.tar.xz", "--node-sha256", await hash("node.tar.xz")];
    const settings = ["--url", "http://127.0.0.1:9", "--token-file", "/work/token", "--slots", "3", "--set", "A=b c"];
    const said = await install("--sha256", await hash("worker.mjs"), ...files, ...settings);
    expect(said, said.text).toMatchObject({ code: 0 });
    expect(await readConfig()).toEqual([
      "A=b c",
      "SLUICE_SLOTS=3",
      "SLUICE_TOKEN=hush",
      "SLUICE_URL=http://127.0.0.1:9",
    ]);
    const modes = ["etc/sluice/worker.env", "var/lib/sluice"].map(
      async (path) => (await stat(join(root, path))).mode & 0o777,
    );
    expect(await Promise.all(modes)).toEqual([0o600, 0o700]);
    expect(await readdir(join(root, "etc/systemd/system/multi-user.target.wants"))).toContain("sluice-worker.service");
    // Neither Docker nor a control plane is there; all else is.
    const doctor = await inside("sluice-worker", "doctor", "--json");
    const { findings } = JSON.parse(doctor.stdout) as { findings: { check: string; status: string }[] };
    expect(findings.filter(({ status }) => status === "failed").map(({ check }) => check)).toEqual([
      "control plane",
      "Docker",
    ]);
  });

  it("changes nothing when it runs again, and upgrades the one and keeps the other", async () => {
    const before = await stat(join(root, "opt/sluice/worker.mjs"));
    expect(await install()).toMatchObject({ code: 0 });
    expect((await stat(join(root, "opt/sluice/worker.mjs"))).mtimeMs).toBe(before.mtimeMs);
    await appendFile(join(root, "work/worker.mjs"), "// the next one\n");
    expect(await install("--slots", "5")).toMatchObject({ code: 0 });
    expect(await readConfig()).toEqual([
      "A=b c",
      "SLUICE_SLOTS=5",
      "SLUICE_TOKEN=hush",
      "SLUICE_URL=http://127.0.0.1:9",
    ]);
    expect((await stat(join(root, "opt/sluice/worker.previous.mjs"))).size).toBe(before.size);
  });

  it("is removed without its data, then with it, however often", async () => {
    const uninstall = (...args: string[]) => inside("bash", "/work/install-worker.sh", "uninstall", ...args);
    expect(await uninstall()).toMatchObject({ code: 0 });
    expect(await readdir(join(root, "opt"))).toEqual([]);
    expect(await readConfig()).toHaveLength(4);
    for (let time = 0; time < 2; time++) expect(await uninstall("--purge")).toMatchObject({ code: 0 });
    for (const path of ["etc/sluice", "var/lib/sluice", "usr/local/bin/sluice-worker"]) {
      await expect(stat(join(root, path))).rejects.toThrow("ENOENT");
    }
    expect(await readFile(join(root, "etc/passwd"), "utf8")).not.toContain("sluice");
  });
});
