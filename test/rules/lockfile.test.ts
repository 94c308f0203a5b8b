import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { findMissing } from "../../scripts/complete-lockfile.ts";

it("locks the packages of every system, so that npm ci works on all of them", async () => {
  const lockfile = JSON.parse(await readFile("package-lock.json", "utf8"));
  // When this fails: node scripts/complete-lockfile.ts
  expect([...findMissing(lockfile).keys()]).toEqual([]);
});

it("finds what is missing, with the system it is for", () => {
  const lockfile = {
    packages: {
      "node_modules/tool": {
        dev: true,
        optionalDependencies: { "@tool/linux-x64-musl": "1.2.3", "@tool/darwin-arm64": "1.2.3" },
      },
      "node_modules/@tool/darwin-arm64": { version: "1.2.3" },
    },
  };
  expect([...findMissing(lockfile)]).toEqual([
    [
      "node_modules/@tool/linux-x64-musl",
      { version: "1.2.3", dev: true, optional: true, os: ["linux"], cpu: ["x64"], libc: ["musl"] },
    ],
  ]);
});
