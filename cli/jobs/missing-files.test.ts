import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseJobFile } from "../../shared/jobfile/parse.ts";
import { findMissingFiles } from "./missing-files.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-missing-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function locate(steps: string): Promise<string[]> {
  const parsed = parseJobFile(`name: hello\nsteps:\n${steps}\ntasks: [a]\n`, { fileName: "job.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const issues = await findMissingFiles(parsed.job, folder);
  return parsed.locate(issues).map(({ line, column, path, message }) => `${line}:${column} ${path} ${message}`);
}

describe("the files a job's images are built from", () => {
  it("are named at their place where they are not there, or not what they should be", async () => {
    mkdirSync(join(folder, "docker"));
    writeFileSync(join(folder, "notes"), "");
    const found = await locate(
      "  - dockerfile: ./Dockerfile\n    context: src\n  - { dockerfile: docker, context: notes }\n  - dockerfile: notes/Dockerfile",
    );
    expect(found).toEqual([
      `3:17 steps[0].dockerfile there is no './Dockerfile'; it is looked for relative to the job file, at ${folder}/Dockerfile`,
      `4:14 steps[0].context there is no 'src'; it is looked for relative to the job file, at ${folder}/src`,
      "5:19 steps[1].dockerfile 'docker' is a folder; a file is needed here",
      "5:36 steps[1].context 'notes' is a file; a folder is needed here",
      `6:17 steps[2].dockerfile there is no 'notes/Dockerfile'; it is looked for relative to the job file, at ${folder}/notes/Dockerfile`,
    ]);
  });

  it("are not looked for where there are none to build, or where Docker fetches them", async () => {
    writeFileSync(join(folder, "Dockerfile"), "");
    expect(await locate("  - { image: busybox, run: 'true' }\n  - { dockerfile: Dockerfile }")).toEqual([]);
    expect(await locate("  - { dockerfile: Dockerfile, context: 'https://example.com/x.git' }")).toEqual([]);
  });
});
