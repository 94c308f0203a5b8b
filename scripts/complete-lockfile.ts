import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/**
 * `node scripts/complete-lockfile.ts`: run it after `npm install NAME`. npm leaves a package for another system out of
 * package-lock.json when it cannot read that package's description, as with a registry that mirrors only some; `npm ci`
 * then refuses the lockfile everywhere. This adds what is left out, by the version that the dependent names exactly.
 */
type LockEntry = {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
};
type Lockfile = { packages: Record<string, LockEntry> };

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const PROCESSORS = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"];
const LIBRARIES: Readonly<Record<string, string>> = {
  gnu: "glibc",
  gnueabihf: "glibc",
  musl: "musl",
  musleabihf: "musl",
};

/** The optional packages that the lockfile's own packages name and the lockfile does not have, by their path in it. */
export function findMissing(lockfile: Lockfile): Map<string, LockEntry> {
  const missing = new Map<string, LockEntry>();
  for (const [dependentPath, dependent] of Object.entries(lockfile.packages)) {
    for (const [name, version] of Object.entries(dependent.optionalDependencies ?? {})) {
      if (isResolved(lockfile, dependentPath, name)) continue;
      if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        throw new Error(`${dependentPath} names no exact ${name}: ${version}`);
      missing.set(`node_modules/${name}`, {
        version,
        ...(dependent.dev ? { dev: true } : {}),
        optional: true,
        ...readPlatform(name),
      });
    }
  }
  return missing;
}

/** Looks upwards through the folders as Node does. */
function isResolved(lockfile: Lockfile, dependentPath: string, name: string): boolean {
  for (let folder = dependentPath; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    if (`${folder === "" ? "" : `${folder}/`}node_modules/${name}` in lockfile.packages) return true;
    if (folder === "") return false;
  }
}

/** Native packages carry system, processor and C library in their names; npm skips them by these fields elsewhere. */
function readPlatform(name: string): LockEntry {
  const words = name.split(/[/-]/);
  const os = words.filter((word) => SYSTEMS.includes(word));
  const cpu = words.filter((word) => PROCESSORS.includes(word));
  const libc = words.flatMap((word) => LIBRARIES[word] ?? []);
  if (os.length === 0 && cpu.length === 0) throw new Error(`${name} does not say which system it is for`);
  return {
    ...(os.length > 0 ? { os } : {}),
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(libc.length > 0 ? { libc } : {}),
  };
}

async function completeLockfile(path: string): Promise<void> {
  const lockfile = JSON.parse(await readFile(path, "utf8")) as Lockfile;
  const missing = findMissing(lockfile);
  const entries = [...Object.entries(lockfile.packages), ...missing];
  lockfile.packages = Object.fromEntries(entries.toSorted(([left], [right]) => left.localeCompare(right, "en")));
  await writeFile(path, `${JSON.stringify(lockfile, undefined, 2)}\n`);
  process.stdout.write(`${missing.size} added: ${[...missing.keys()].join(", ") || "package-lock.json is complete"}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await completeLockfile(fileURLToPath(new URL("../package-lock.json", import.meta.url)));
}
