import { execFile } from "node:child_process";
import { access, constants, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { mysqlPrograms } from "./mysql-stand-in.ts";

/** A file, link or folder of an image under construction; paths are relative to its root. */
type Entry =
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Buffer }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "folder"; readonly path: string; readonly mode: number };

type ImagePlan = { readonly entries: readonly Entry[]; readonly changes: readonly string[] };

/** The image of the examples and tests. */
const BUSYBOX_TAG = "busybox:stable";
/** The image of a service in tests. */
const REDIS_TAG = "redis:7";
/** Not called mysql: who has Docker's own image keeps it. */
const MYSQL_TAG = "sluice-mysql-stand-in:8";

const runFile = promisify(execFile);
const BINARY_FOLDERS = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
const PATH_CHANGE = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PULL_DEADLINE_MS = 60_000;
/** What Docker calls the processors that Node names. */
const DOCKER_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/**
 * Makes sure that Docker has `busybox:stable` and returns its name: what is there is kept, else it is made from the
 * busybox of this machine, else pulled. Throws a sentence that says what to do when none of these works.
 */
export function ensureBusyboxImage(docker: Docker, tag = BUSYBOX_TAG): Promise<string> {
  return ensureImage(docker, tag, planBusybox, "install a busybox (Debian: apt-get install busybox-static)");
}

/** Makes sure that Docker has `redis:7`, as `ensureBusyboxImage` does, from the redis-server of this machine. */
export function ensureRedisImage(docker: Docker, tag = REDIS_TAG): Promise<string> {
  return ensureImage(docker, tag, planRedis, "install Redis 7 (Debian: apt-get install redis-server)");
}

/** Makes sure that Docker has an image that behaves as MySQL's does (see `mysql-stand-in.ts`), and returns its name. */
export function ensureMysqlImage(docker: Docker): Promise<string> {
  return ensureImage(docker, MYSQL_TAG, planMysql, "install a busybox (Debian: apt-get install busybox-static)");
}

async function ensureImage(
  docker: Docker,
  tag: string,
  plan: () => Promise<ImagePlan | undefined>,
  advice: string,
): Promise<string> {
  if (await hasImage(docker, tag)) return tag;
  const planned = (await runsBinariesFromHere(docker)) ? await plan() : undefined;
  if (planned === undefined) await pullImage(docker, tag, advice);
  else await importImage(docker, tag, planned);
  return tag;
}

async function hasImage(docker: Docker, tag: string): Promise<boolean> {
  const images = await docker.listImages({ filters: { reference: [tag] } });
  return images.length > 0;
}

/** Docker may run elsewhere, or in a virtual machine of another system. */
async function runsBinariesFromHere(docker: Docker): Promise<boolean> {
  const { Os, Arch } = await docker.version();
  return process.platform === Os && DOCKER_ARCHITECTURES[process.arch] === Arch;
}

async function pullImage(docker: Docker, tag: string, advice: string): Promise<void> {
  const cannot = (cause: unknown) =>
    new Error(`Docker has no image ${tag} and cannot pull it: run docker pull ${tag}, or ${advice}`, { cause });
  const signal = AbortSignal.timeout(PULL_DEADLINE_MS);
  try {
    const progress = await docker.pull(tag, { abortSignal: signal });
    await finishProgress(docker, progress);
  } catch (error) {
    throw cannot(error);
  }
}

async function importImage(docker: Docker, name: string, plan: ImagePlan): Promise<void> {
  const [repo, tag] = name.split(":");
  const changes = [...plan.changes, PATH_CHANGE, "LABEL sluice.made-for=tests"].join("\n");
  await finishProgress(docker, await docker.importImage(packEntries(plan.entries), { repo, tag, changes }));
}

function finishProgress(docker: Docker, progress: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()));
  });
}

async function planBusybox(): Promise<ImagePlan | undefined> {
  const entries = await collectBusybox();
  if (entries === undefined) return undefined;
  return { entries: [...baseEntries(), ...entries], changes: ['CMD ["sh"]'] };
}

async function planRedis(): Promise<ImagePlan | undefined> {
  const server = await findBinary("redis-server");
  const cli = await findBinary("redis-cli");
  if (server === undefined || cli === undefined) return undefined;
  const version = (await runFile(server, ["--version"])).stdout;
  if (!version.includes(" v=7.")) return undefined;
  const shell = (await collectBusybox()) ?? [];
  const programs = [
    ...(await collectProgram(server, "usr/bin/redis-server")),
    ...(await collectProgram(cli, "usr/bin/redis-cli")),
  ];
  return {
    entries: [...baseEntries(), ...shell, ...programs, { kind: "folder", path: "data", mode: 0o777 }],
    // As in the public image: reachable from other containers, without a password.
    changes: ['CMD ["redis-server", "--protected-mode", "no"]', "WORKDIR /data", "EXPOSE 6379"],
  };
}

async function planMysql(): Promise<ImagePlan | undefined> {
  const shell = await collectBusybox();
  if (shell === undefined) return undefined;
  const programs = Object.entries(mysqlPrograms).map(([name, script]): Entry => {
    return { kind: "file", path: `usr/local/bin/${name}`, mode: 0o755, content: Buffer.from(script) };
  });
  return {
    entries: [...baseEntries(), ...shell, ...programs, { kind: "folder", path: "var/lib/mysql", mode: 0o777 }],
    changes: ['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["mysqld"]', "VOLUME /var/lib/mysql", "EXPOSE 3306"],
  };
}

/** What programs expect around them: users, a temporary folder for everybody, a home. */
function baseEntries(): Entry[] {
  const users = ["root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/:/bin/false", ""].join("\n");
  const groups = ["root:x:0:", "nogroup:x:65534:", ""].join("\n");
  return [
    { kind: "folder", path: "tmp", mode: 0o1777 },
    { kind: "folder", path: "root", mode: 0o700 },
    { kind: "file", path: "etc/passwd", mode: 0o644, content: Buffer.from(users) },
    { kind: "file", path: "etc/group", mode: 0o644, content: Buffer.from(groups) },
  ];
}

async function collectBusybox(): Promise<Entry[] | undefined> {
  const binary = await findBinary("busybox");
  if (binary === undefined) return undefined;
  const applets = (await runFile(binary, ["--list"])).stdout
    .split("\n")
    .filter((name) => name !== "" && name !== "busybox");
  return [
    ...(await collectProgram(binary, "bin/busybox")),
    ...applets.map((name): Entry => ({ kind: "link", path: `bin/${name}`, target: "busybox" })),
    // Scripts begin with this path.
    { kind: "link", path: "usr/bin/env", target: "../../bin/busybox" },
  ];
}

/** The program and the libraries that `ldd` names; a static one has none. */
async function collectProgram(binary: string, path: string): Promise<Entry[]> {
  const libraries = await listLibraries(binary);
  return [
    { kind: "file", path, mode: 0o755, content: await readFile(binary) },
    ...(await Promise.all(
      libraries.map(async (library): Promise<Entry> => {
        return { kind: "file", path: library.slice(1), mode: 0o755, content: await readFile(library) };
      }),
    )),
  ];
}

async function listLibraries(binary: string): Promise<string[]> {
  try {
    const { stdout } = await runFile("ldd", [binary]);
    return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    // glibc's and musl's words for a static program.
    if (/not a dynamic executable|Not a valid dynamic program/i.test(said)) return [];
    throw error;
  }
}

async function findBinary(name: string): Promise<string | undefined> {
  for (const folder of BINARY_FOLDERS) {
    const candidate = join(folder, name);
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Looked for in the next folder.
    }
  }
  return undefined;
}

function packEntries(entries: readonly Entry[]): Readable {
  const archive = pack();
  const written = new Set<string>();
  for (const entry of entries) {
    // Programs share libraries.
    if (written.has(entry.path)) continue;
    written.add(entry.path);
    if (entry.kind === "file") archive.entry({ name: entry.path, mode: entry.mode }, entry.content);
    else if (entry.kind === "folder") archive.entry({ name: entry.path, type: "directory", mode: entry.mode });
    else archive.entry({ name: entry.path, type: "symlink", linkname: entry.target });
  }
  archive.finalize();
  return Readable.from(archive);
}
