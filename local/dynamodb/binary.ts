import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The release of dynoxide that this folder was checked with; its files are prepared by `stream-storage.ts`. */
export const DYNOXIDE_VERSION = "1.2.1";

/** What the binary is published for. */
const PLATFORMS: readonly string[] = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];

/** Which machine to find the binary for, and a path the user gave. */
export type BinaryQuery = {
  readonly binaryPath?: string | undefined;
  readonly platform?: string;
  readonly arch?: string;
  /** Folder of an installed npm package, undefined when it is not installed. */
  readonly findPackageDir?: (packageName: string) => string | undefined;
};

/** Path of the dynoxide binary for this machine; the error names the one command that installs it. */
export function findDynoxideBinary(query: BinaryQuery = {}): string {
  if (query.binaryPath !== undefined) {
    if (existsSync(query.binaryPath)) return query.binaryPath;
    throw new Error(`SLUICE_DYNOXIDE names ${query.binaryPath}, which does not exist`);
  }
  const target = `${query.platform ?? process.platform}-${query.arch ?? process.arch}`;
  if (!PLATFORMS.includes(target)) {
    throw new Error(
      `The embedded DynamoDB (dynoxide) is not published for ${target}: build it and name the binary in SLUICE_DYNOXIDE`,
    );
  }
  const packageName = `@dynoxide/${target}`;
  const packageDir = (query.findPackageDir ?? resolvePackageDir)(packageName);
  if (packageDir !== undefined) return join(packageDir, "dynoxide");
  throw new Error(
    `The embedded DynamoDB (dynoxide) is not installed for ${target}: run npm install --no-save ${packageName}@${DYNOXIDE_VERSION}`,
  );
}

function resolvePackageDir(packageName: string): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`));
  } catch {
    return undefined;
  }
}
