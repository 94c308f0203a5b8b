import type { StepLaunch, TaskContext } from "./executor.ts";

/** Where a step finds the workspace: a mount of its container, or a folder of the host. */
export interface WorkspacePaths {
  workspace: string;
  output: string;
  shared: string;
  alfredOutput: string;
  alfredShared: string;
}

/** The variables of a step: secrets, those of job and task over them, its own over these, Sluice's over all. */
export function buildStepEnvironment(
  task: TaskContext,
  step: StepLaunch,
  paths: WorkspacePaths,
): Record<string, string> {
  const secrets = [...task.secrets].map(([name, secret]) => [name, secret.reveal()] as const);
  const fqn = `${task.jobId}/${task.task}`;
  return {
    CI: "true",
    ...Object.fromEntries(secrets),
    ...task.env,
    ...step.spec.env,
    SLUICE_JOB: task.jobId,
    SLUICE_TASK: task.task,
    SLUICE_TASK_FQN: fqn,
    SLUICE_ATTEMPT: String(task.attempt),
    SLUICE_STEP: String(step.index),
    SLUICE_SLOTS: String(task.slots),
    SLUICE_WORKSPACE: paths.workspace,
    SLUICE_OUTPUT: paths.output,
    SLUICE_SHARED: paths.shared,
    ALFRED_TASK: task.task,
    ALFRED_TASK_FQN: fqn,
    ALFRED_NB_SLOTS_FOR_TASK: String(task.slots),
    ALFRED_OUTPUT: paths.alfredOutput,
    ALFRED_SHARED: paths.alfredShared,
  };
}
