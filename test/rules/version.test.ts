import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { version } from "../../shared/version.ts";

it("states the version of package.json", async () => {
  const manifest = await readFile(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8");
  expect(version).toBe((JSON.parse(manifest) as { version: string }).version);
});
