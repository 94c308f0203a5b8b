import type { ContainerCreateOptions } from "dockerode";
import type { ContainerStepSpec } from "../../../shared/jobfile/job-spec.ts";
import type { StepLaunch, TaskContext } from "../executor.ts";
import { buildStepEnvironment } from "../step-environment.ts";
import { dockerLabels } from "./docker-client.ts";
import { type Isolation, restrictRights } from "./isolation.ts";
import { limitResources } from "./resource-limits.ts";

/** Where the workspace is inside containers; the second place is for job files of Alfred. */
export const containerPaths = {
  workspace: "/sluice",
  output: "/sluice/output",
  shared: "/sluice/shared",
  alfredOutput: "/alfred/output",
  alfredShared: "/alfred/shared",
} as const;

export interface StepContainerInput {
  task: TaskContext;
  step: StepLaunch;
  spec: ContainerStepSpec;
  labels: Readonly<Record<string, string>>;
  pauseId: string;
  isolation: Isolation;
  /** Files of the host that take the place of Docker's own in the container. */
  nameFiles: readonly { hostPath: string; path: string }[];
}

/** What Docker is asked to create for a step, but for the image. */
export function buildStepContainer(input: StepContainerInput): Omit<ContainerCreateOptions, "Image"> {
  const { task, step, spec } = input;
  const environment = {
    // The init process hands a signal to the whole process group of the step, not only to its leader.
    TINI_KILL_PROCESS_GROUP: "1",
    ...buildStepEnvironment(task, step, containerPaths),
  };
  return {
    ...entryOptions(spec),
    ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    Labels: { ...input.labels, [dockerLabels.attempt]: task.attemptId, [dockerLabels.role]: "step" },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: `container:${input.pauseId}`,
      // Reaps zombies and passes signals on.
      Init: true,
      // Output is taken from the attached stream; a log file on the side would be the slowest part of the way.
      LogConfig: { Type: "none", Config: {} },
      // Removed by the worker, which has still questions after the end.
      AutoRemove: false,
      ...restrictRights(input.isolation),
      ...limitResources(task.resources, task.slots),
      Mounts: [
        bind(task.workspace.path, containerPaths.workspace),
        bind(task.workspace.path, "/alfred"),
        ...input.nameFiles.map((file) => bind(file.hostPath, file.path)),
      ],
    },
  };
}

/** `run` and `command` are the whole program, so the image's entrypoint goes; without either the image decides. */
function entryOptions(spec: ContainerStepSpec): Pick<ContainerCreateOptions, "Entrypoint"> {
  if (spec.entry === null) return {};
  return { Entrypoint: "run" in spec.entry ? ["/bin/sh", "-c", spec.entry.run] : spec.entry.command };
}

function bind(source: string, target: string) {
  return { Type: "bind", Source: source, Target: target } as const;
}
