import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
const platform = join(root, ".sst", "platform");
const stampFile = join(platform, "sluice-installed-for");

/** What SST's CLI is run with: it reports nothing, fetches no tools, and takes the stage from its arguments. */
export const quietSst = { SST_TELEMETRY_DISABLED: "1", SST_SKIP_DEPENDENCY_CHECK: "1", SST_NO_BUN: "1" };

/** SST's native CLI. Its npm wrapper would also look for newer versions. */
export function sstBinary(): string {
  const file = join(root, "node_modules", `sst-${process.platform}-${process.arch}`, "bin", "sst");
  if (!existsSync(file)) throw new Error(`SST's CLI is not installed (${file}): run npm ci`);
  return file;
}

/**
 * Unpacks SST's platform into `.sst` and installs its packages from the npm registry, about a minute and 330 MB the
 * first time; nothing when what is there fits the CLI and the providers that sst.config.ts asks for.
 */
export async function installPlatform(print: (line: string) => void): Promise<void> {
  if (isInstalled()) return;
  print("installing SST's platform into .sst (once, about a minute) …");
  await runSst(["install"], { ...process.env, ...quietSst, SST_STAGE: "plan" });
  writeFileSync(stampFile, fingerprint());
}

function isInstalled(): boolean {
  return existsSync(stampFile) && readFileSync(stampFile, "utf8") === fingerprint();
}

/** Changes with the CLI's version and with the providers. */
function fingerprint(): string {
  const { version } = JSON.parse(readFileSync(join(root, "node_modules", "sst", "package.json"), "utf8")) as {
    version: string;
  };
  const providers = /providers:.*/.exec(readFileSync(join(root, "sst.config.ts"), "utf8"))?.[0] ?? "";
  return `${version} ${createHash("sha256").update(providers).digest("hex")}\n`;
}

/** Runs SST's CLI in the project's folder; its output is part of the error when it fails. */
export function runSst(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(sstBinary(), args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const take = (chunk: Buffer) => {
      output += chunk.toString("utf8");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`sst ${args.join(" ")} ended with ${code}:\n${output.trim()}`));
    });
  });
}
