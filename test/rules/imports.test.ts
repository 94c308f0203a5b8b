import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
let copy = "";

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "sluice-rules-"));
  for (const name of [
    "shared",
    "events",
    "functions",
    "workers",
    "cli",
    "console",
    "local",
    "test",
    "examples",
    "package.json",
    "tsconfig.json",
    ".dependency-cruiser.mjs",
  ]) {
    await cp(join(root, name), join(copy, name), { recursive: true });
  }
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
});

afterAll(() => rm(copy, { recursive: true, force: true }));

function checkImports(): Promise<{ code: number; output: string }> {
  const args = [
    "shared",
    "events",
    "functions",
    "workers",
    "cli",
    "console",
    "local",
    "--config",
    ".dependency-cruiser.mjs",
  ];
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(root, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs"), ...args],
      { cwd: copy },
      (error, stdout) => resolve({ code: error === null ? 0 : Number(error.code), output: stdout }),
    );
  });
}

const planted = [
  {
    rule: "functions-stand-alone",
    file: "functions/operations/dispatch.ts",
    line: 'import "../../workers/config.ts";',
  },
  { rule: "workers-stand-alone", file: "workers/config.ts", line: 'import "../functions/deps.ts";' },
  { rule: "domain-is-pure", file: "shared/domain/limits.ts", line: 'import "../log.ts";' },
  { rule: "events-on-domain-only", file: "events/index.ts", line: 'import "../shared/log.ts";' },
  { rule: "shared-imports-no-part", file: "shared/log.ts", line: 'import "../functions/deps.ts";' },
  { rule: "cli-by-the-api-only", file: "cli/errors.ts", line: 'import "../shared/repository/keys.ts";' },
  { rule: "console-by-the-api-only", file: "console/app/now.ts", line: 'import "../../shared/repository/keys.ts";' },
  { rule: "cli-starts-local-in-one-place", file: "cli/errors.ts", line: 'import "../local/main.ts";' },
  { rule: "dockerode-in-the-docker-executor", file: "workers/config.ts", line: 'import "dockerode";' },
  { rule: "sqs-in-its-client", file: "workers/config.ts", line: 'import "@aws-sdk/client-sqs";' },
  { rule: "dynamodb-in-the-repository", file: "functions/deps.ts", line: 'import "@aws-sdk/client-dynamodb";' },
  { rule: "no-dev-dependencies-in-product", file: "shared/log.ts", line: 'import "fast-check";' },
];

// That the tree as it is has none is a check of its own (`npm run check:imports`).
describe("on a tree with a forbidden import for each rule", () => {
  let found: { code: number; output: string };

  beforeAll(async () => {
    // All at once: a look at the whole tree takes seconds, and each is found where it was planted.
    for (const { file, line } of planted) {
      const path = join(copy, file);
      await writeFile(path, `${line}\n${await readFile(path, "utf8")}`);
    }
    found = await checkImports();
  });

  it("fails", () => expect(found.code).not.toBe(0));

  it.each(planted)("tells of the import planted against $rule", ({ rule, file }) => {
    expect(found.output).toContain(`error ${rule}: ${file} → `);
  });
});
