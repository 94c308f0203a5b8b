import { join } from "node:path";
import type { EcrClient } from "../../shared/clients/ecr.ts";
import type { Logger } from "../../shared/log.ts";
import type { ExecutorKind, WorkerConfig } from "../config.ts";
import type { Owner } from "../owner.ts";
import { DockerExecutor, type DockerExecutorOptions } from "./docker/docker-executor.ts";
import { EcrLogin } from "./ecr-login.ts";
import type { Executor } from "./executor.ts";
import { ProcessExecutor } from "./process/process-executor.ts";

export interface OpenExecutorsOptions extends Pick<DockerExecutorOptions, "onThere" | "onAway"> {
  deps: {
    config: WorkerConfig;
    ecr?: EcrClient | undefined;
    /** Takes the place of what runs steps of these kinds. */
    executors?: ReadonlyMap<ExecutorKind, Executor>;
  };
  workerId: string;
  workerDir: string;
  owner: Owner;
  log: Logger;
}

/** What runs steps on a worker, as its configuration says; `docker` is told apart, and begins to connect. */
export function openExecutors(options: OpenExecutorsOptions): {
  executors: ReadonlyMap<ExecutorKind, Executor>;
  docker?: DockerExecutor;
} {
  const { deps, workerId, workerDir, owner, log, onThere, onAway } = options;
  const { config, ecr } = deps;
  if (deps.executors !== undefined) return { executors: deps.executors };
  const executors = new Map<ExecutorKind, Executor>();
  if (config.executors.includes("process")) {
    executors.set("process", new ProcessExecutor({ hostEnv: config.hostEnv, log }));
  }
  if (!config.executors.includes("docker")) return { executors };
  const docker = new DockerExecutor({
    images: {
      folder: join(config.workDir, "images"),
      scratchFolder: workerDir,
      limits: config.imageCache,
      ecr: ecr && new EcrLogin({ client: ecr }),
    },
    isolation: config.isolation,
    address: config.docker,
    slots: config.slots,
    workerId,
    owner,
    log,
    ...(onThere && { onThere }),
    ...(onAway && { onAway }),
  });
  executors.set("docker", docker);
  docker.start();
  return { executors, docker };
}
