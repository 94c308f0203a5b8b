/**
 * `npm run -s worker:user-data -- --url URL --token TOKEN --bundle LINK`: the script that makes a worker of a fresh machine
 * with cloud-init, such as one of Amazon Linux 2023 or Debian, for `aws ec2 run-instances --user-data`. It holds
 * scripts/install-worker.sh and runs it. See docs/deploy.md and docs/workers.md.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { defaultPool } from "../shared/infrastructure/queues.ts";
import { root } from "./plan/install.ts";

/** What a cloud takes of user data. */
const maxBytes = 16 * 1024;

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    token: { type: "string" },
    bundle: { type: "string" },
    sha256: { type: "string" },
    region: { type: "string" },
    provider: { type: "string", default: "ec2" },
    pool: { type: "string", default: defaultPool },
    slots: { type: "string" },
    "max-hours": { type: "string", default: "12" },
    node: { type: "string", default: process.versions.node },
  },
});

function fail(problem: string): never {
  process.stderr.write(`worker-user-data: ${problem}; see docs/deploy.md\n`);
  process.exit(2);
}

/** An option that must be there. */
function required(name: "url" | "token" | "bundle" | "region"): string {
  const value = values[name];
  return value === undefined || value === "" ? fail(`--${name} is missing`) : value;
}

/** A text as one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** What the bundle is held against: what was said, or the one that was built here. */
function findSha256(): string {
  if (values.sha256 !== undefined) return values.sha256;
  const built = join(root, "dist", "worker.mjs");
  if (!existsSync(built)) fail("--sha256 is missing, and there is no dist/worker.mjs to take it from");
  return createHash("sha256").update(readFileSync(built)).digest("hex");
}

/** Lines that write a file of this folder on the machine; packed, for user data has little room. */
function embed(file: string, target: string): string {
  const packed = gzipSync(readFileSync(join(import.meta.dirname, file)), { level: 9 }).toString("base64");
  return `base64 -d <<'SLUICE_END' | gunzip > "$dir/${target}"\n${packed.replace(/.{120}/g, "$&\n")}\nSLUICE_END`;
}

const maxMinutes = Math.round(Number(values["max-hours"]) * 60);
if (!(maxMinutes > 0)) fail("--max-hours is a number of hours above 0");
const [url, token, bundle] = [required("url"), required("token"), required("bundle")];
const options = [
  ["--bundle", bundle],
  ["--sha256", findSha256()],
  ["--node", values.node],
  ["--url", url],
  ["--pool", values.pool],
  ["--provider", values.provider],
  ...(values.provider === "ec2" || values.region !== undefined ? [["--set", `AWS_REGION=${required("region")}`]] : []),
  ...(values.slots === undefined ? [] : [["--slots", values.slots]]),
].map(([name, value = ""]) => `${name} ${quote(value)}`);

const script = `#!/bin/bash
# Makes a Sluice worker of this machine.
set -euo pipefail
# Whatever goes wrong from here on: the machine ends itself, and with it its cost.
shutdown -h +${maxMinutes}
trap 'shutdown -h +1' ERR
dir=$(umask 077 && mktemp -d)
${embed("install-worker.sh", "install-worker.sh")}
${embed("worker/sluice-worker.service", "sluice-worker.service")}
# On standard input: who looks at the processes of the machine sees no token.
printf '%s\\n' ${quote(token)} | bash "$dir/install-worker.sh" install --token-file - \\
  ${options.join(" \\\n  ")}
rm -rf "$dir"
`;
const bytes = Buffer.byteLength(script);
if (bytes > maxBytes)
  fail(`the script has ${bytes} bytes, and clouds take ${maxBytes}: shorten the link to the bundle`);
process.stdout.write(script);
