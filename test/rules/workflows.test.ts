import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const folder = fileURLToPath(new URL("../../.github/workflows/", import.meta.url));
const workflows = readdirSync(folder).map((file) => [file, readFileSync(`${folder}${file}`, "utf8")] as const);

interface Job {
  needs?: string[];
  environment?: string;
  permissions?: Record<string, string>;
  "timeout-minutes"?: number;
  steps: { uses?: string; run?: string }[];
}
interface Workflow {
  permissions?: Record<string, string>;
  jobs: Record<string, Job>;
}

function listJobs(text: string): [string, Job][] {
  return Object.entries((parse(text) as Workflow).jobs);
}

describe.each(workflows)("the workflow %s", (_, text) => {
  it("names each action by its commit, with its version beside it", () => {
    const uses = text.split("\n").filter((line) => /\buses:/.test(line));
    expect(uses.length).toBeGreaterThan(0);
    expect(uses.filter((line) => !/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
  });

  it("may write nothing, and take a cloud's role in deployments only", () => {
    expect((parse(text) as Workflow).permissions).toEqual({ contents: "read" });
    for (const [name, { permissions = {} }] of listJobs(text)) {
      const writes = Object.entries(permissions).filter(([, access]) => access === "write");
      expect(writes.map(([scope]) => scope)).toEqual(name.startsWith("deploy-") ? ["id-token"] : []);
    }
  });

  it("ends every job some time", () => {
    expect(listJobs(text).filter(([, job]) => job["timeout-minutes"] === undefined)).toEqual([]);
  });

  it("holds no long-lived key of a cloud", () => {
    expect(text).not.toMatch(/AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|secrets\.AWS/);
  });
});

describe("deployments", () => {
  const jobs = new Map(workflows.flatMap(([, text]) => listJobs(text)));

  it("come after everything that checks, and production after staging, in an environment of its own", () => {
    expect(jobs.get("deploy-staging")).toMatchObject({ needs: ["check", "test", "plan"], environment: "staging" });
    expect(jobs.get("deploy-production")).toMatchObject({ needs: ["deploy-staging"], environment: "production" });
  });
});
