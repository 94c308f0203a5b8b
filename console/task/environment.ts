import type { JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import type { StepEntry, StepSpec } from "../../shared/jobfile/job-spec.ts";

type Spec = JobSpecAnswer["spec"];

/** A variable that steps of a task see, and who set it. Of a secret only the name is known. */
export interface Variable {
  name: string;
  value?: string;
  /** Name of the secret that its value comes from. */
  secret?: string;
  from: string;
}

/**
 * The variables of a task, by their names: a task's own stand before those of its job, and a step's before both, where
 * they are told beside the ones that they hide.
 */
export function listVariables({ env, secrets = {}, steps }: Spec, task: Pick<Task, "env">): Variable[] {
  const shared = new Map<string, Variable>();
  for (const [name, value] of Object.entries(env)) shared.set(name, { name, value, from: "job" });
  for (const [name, secret] of Object.entries(secrets)) shared.set(name, { name, secret, from: "job" });
  for (const [name, value] of Object.entries(task.env)) shared.set(name, { name, value, from: "task" });
  const ofSteps = steps.flatMap((step, at) =>
    Object.entries(step.env).map(([name, value]) => ({ name, value, from: `step ${at + 1}` })),
  );
  return [...shared.values(), ...ofSteps].sort((a, b) => a.name.localeCompare(b.name));
}

/** What a step runs in: its image, or the worker's machine. */
export function describePlace(step: StepSpec): string {
  if (step.kind === "process") return "the worker's host";
  return step.shipped ? `shipped with the job, ${step.image.slice(0, 19)}…` : step.image;
}

/** What is run, on one line or more as it was written. */
export function describeEntry(entry: StepEntry | null): string {
  if (entry === null) return "the image's own command";
  return "run" in entry ? entry.run : entry.command.map(quote).join(" ");
}

/** A word as a shell takes it. */
function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
