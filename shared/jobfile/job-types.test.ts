import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { buildJobTypes } from "./job-types.ts";

const compiler = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
const ownTypes = fileURLToPath(new URL("./define-job.ts", import.meta.url));
const typeRoots = fileURLToPath(new URL("../../node_modules/@types", import.meta.url));
const flags = [
  ..."--noEmit --ignoreConfig --skipLibCheck --strict --target esnext --module nodenext --allowImportingTsExtensions".split(
    " ",
  ),
  ...["--types", "node", "--typeRoots", typeRoots],
];

const job = `/// <reference path="./sluice.d.ts" />
import { defineJob } from "sluice";

export default defineJob(({ env, args, params }) => ({
  name: "matrix",
  timeout: params.timeout,
  services: { redis: { image: "redis:7", health: { cmd: ["redis-cli", "ping"] } } },
  steps: [{ image: "node:24", run: "npm test", env: { HOME: env.HOME ?? "/" } }],
  tasks: [...args, { name: "heavy", slots: 2, needs: ["unit"] }],
}));

// @ts-expect-error an unknown key
defineJob({ name: "typo", steps: [{ image: "node:24", rum: "npm test" }], tasks: ["a"] });
// @ts-expect-error a key is missing
defineJob({ name: "typo", steps: [{ image: "node:24" }] });
// @ts-expect-error no such value
defineJob({ name: "typo", abort: "always", steps: [{ image: "node:24" }], tasks: ["a"] });
`;

const same = `/// <reference path="./sluice.d.ts" />
import type { JobFile } from "sluice";
import type { JobFile as OwnJobFile } from ${JSON.stringify(ownTypes)};

export const toOwn = (told: JobFile): OwnJobFile => told;
export const toTold = (own: OwnJobFile): JobFile => own;
`;

it("types job files in a folder where nothing is installed, as those of the repository are", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-types-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const files = { "sluice.d.ts": buildJobTypes(), "job.ts": job, "same.ts": same };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
  const compile = promisify(execFile)(compiler, [...flags, "job.ts", "same.ts"], { cwd: folder });
  const { stdout } = await compile.catch((error: { stdout: string }) => error);
  expect(stdout).toBe("");
});
