import { describe, expect, it } from "vitest";
import { jobSpecSchema } from "../../shared/jobfile/job-spec.ts";
import { describeEntry, describePlace, listVariables } from "./environment.ts";

const spec = jobSpecSchema.parse({
  name: "job",
  env: { AA: "job", BB: "job" },
  secrets: { TOKEN: "deploy-token" },
  steps: [
    { kind: "process", name: "one", entry: { run: "x" }, env: { AA: "step" } },
    { kind: "container", name: "two", image: "busybox:1", entry: { command: ["echo", "it's", "a=b"] } },
  ],
  tasks: [{ name: "one" }],
});

describe("the environment of a task", () => {
  it("has the variables of the job, the task and each step, and of secrets the names alone", () => {
    expect(listVariables(spec, { env: { BB: "task" } })).toEqual([
      { name: "AA", value: "job", from: "job" },
      { name: "AA", value: "step", from: "step 1" },
      { name: "BB", value: "task", from: "task" },
      { name: "TOKEN", secret: "deploy-token", from: "job" },
    ]);
  });

  it("tells what each step runs, and in what", () => {
    const [one, two] = spec.steps;
    expect(one && describePlace(one)).toBe("the worker's host");
    expect(two && describePlace(two)).toBe("busybox:1");
    expect(two && describeEntry(two.entry)).toBe(`echo 'it'\\''s' a=b`);
    expect(describeEntry(null)).toBe("the image's own command");
  });
});
