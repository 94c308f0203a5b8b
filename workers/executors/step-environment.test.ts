import { expect, it } from "vitest";
import { Secret } from "../secret.ts";
import type { StepLaunch, TaskContext } from "./executor.ts";
import { buildStepEnvironment } from "./step-environment.ts";

it("gives a step its secrets, under what its task sets, under what it sets itself, under what Sluice sets", () => {
  const names = ["CI", "TOKEN", "LEVEL", "SLUICE_STEP"];
  const all = (value: string) => Object.fromEntries(names.map((name) => [name, value]));
  const task = {
    jobId: "job-1",
    task: "unit",
    attempt: 2,
    slots: 3,
    secrets: new Map(["CI", "TOKEN", "OWN"].map((name) => [name, new Secret("secret")])),
    env: { ...all("task"), OWN_TASK: "task" },
  } as unknown as TaskContext;
  const step = { index: 4, spec: { env: { LEVEL: "step", SLUICE_STEP: "step" } } } as unknown as StepLaunch;
  const paths = { workspace: "/w", output: "/w/o", shared: "/w/s", alfredOutput: "/a/o", alfredShared: "/a/s" };
  expect(buildStepEnvironment(task, step, paths)).toEqual({
    CI: "task",
    TOKEN: "task",
    OWN: "secret",
    OWN_TASK: "task",
    LEVEL: "step",
    SLUICE_JOB: "job-1",
    SLUICE_TASK: "unit",
    SLUICE_TASK_FQN: "job-1/unit",
    SLUICE_ATTEMPT: "2",
    SLUICE_STEP: "4",
    SLUICE_SLOTS: "3",
    SLUICE_WORKSPACE: "/w",
    SLUICE_OUTPUT: "/w/o",
    SLUICE_SHARED: "/w/s",
    ALFRED_TASK: "unit",
    ALFRED_TASK_FQN: "job-1/unit",
    ALFRED_NB_SLOTS_FOR_TASK: "3",
    ALFRED_OUTPUT: "/a/o",
    ALFRED_SHARED: "/a/s",
  });
});
