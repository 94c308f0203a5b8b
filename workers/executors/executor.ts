import type { Reason } from "../../shared/domain/reason.ts";
import type { ResourcesSpec, ServiceSpec, StepSpec } from "../../shared/jobfile/job-spec.ts";
import type { LogStream } from "../logs/line-cutter.ts";
import type { UsageSource } from "../metrics/usage.ts";
import type { Secret } from "../secret.ts";
import type { Workspace } from "../workspace.ts";

/** What an executor knows about the attempt whose steps it runs. */
export interface TaskContext {
  attemptId: string;
  jobId: string;
  task: string;
  attempt: number;
  slots: number;
  /** What the job says that containers may use, for each of the slots. */
  resources?: ResourcesSpec | undefined;
  /** Variables of the job and the task, without those that Sluice sets. */
  env: Readonly<Record<string, string>>;
  /** Values of the job's secrets by variable: they go into the environment of steps and nowhere else. */
  secrets: ReadonlyMap<string, Secret>;
  /** A Docker configuration with credentials of registries. */
  registryAuth?: Secret | undefined;
  workspace: Workspace;
  /** Shipped images that its steps run in, by the digests of their configurations. */
  shippedImages: readonly string[];
  /** Presigned URLs of the blobs of shipped images, by digest. */
  images: Readonly<Record<string, string>>;
}

/** One step about to be run. `index` counts from 1; `name` is how it is called in logs and reasons. */
export interface StepLaunch {
  index: number;
  name: string;
  spec: StepSpec;
}

/** Takes a step's output; a promise means that nothing more may be written before it resolves. */
export interface StepOutput {
  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined;
}

/** How a step ended. `outOfMemory` is the kernel's word on any of its processes, not a guess from exit code 137. */
export interface StepExit {
  exitCode: number;
  outOfMemory: boolean;
}

/** A step whose process has started. */
export interface RunningStep {
  /** Resolves when nothing of the step runs any more and all its output was taken. */
  readonly ended: Promise<StepExit>;
  /** What it uses; absent where nobody can tell. */
  readonly usage?: UsageSource;
  /** Asks the whole process group to end (SIGTERM). */
  terminate(): void;
  /** Ends the whole process group (SIGKILL). */
  kill(): void;
}

/** A step that can start at once: what is slow was done before. One that is never started goes with its sandbox. */
export interface PreparedStep {
  start(output: StepOutput): Promise<RunningStep>;
}

/** A service about to be started. */
export interface ServiceLaunch {
  name: string;
  spec: ServiceSpec;
}

/** A service whose container has started. */
export interface RunningService extends RunningStep {
  /** Its address in the task's network; undefined where it ended before anybody could ask for it. */
  readonly address: string | undefined;
  /** Runs a command inside; throws where that cannot be done. The signal ends the wait at once, and then the command. */
  runInside(command: readonly string[], signal: AbortSignal): Promise<{ exitCode: number; output: string }>;
  /** Asks whether it still runs: its end may not have been told yet. */
  isRunning(): Promise<boolean>;
  /** Removes it, running or not, so that its name is free for another start. */
  remove(): Promise<void>;
}

/** A service that can start at once. One that is never started goes with its sandbox. */
export interface PreparedService {
  start(output: StepOutput): Promise<RunningService>;
}

/** Where the steps of one attempt run. */
export interface TaskSandbox {
  /** What keeps a step or a service from being prepared just now, for a sentence: `the image redis:7`. */
  readonly waitsFor?: string | undefined;
  /** Prepares a service, which steps and other services will reach by its name; absent where there are no containers. */
  prepareService?(service: ServiceLaunch, signal: AbortSignal): Promise<PreparedService>;
  /** Prepares a step, also while the one before runs. The signal ends waits for images and networks. */
  prepareStep(step: StepLaunch, signal: AbortSignal): Promise<PreparedStep>;
  /**
   * Makes a user of this machine the owner of the task's output, which may belong to any user of an image; absent where
   * steps run as the worker's own.
   */
  takeOutput?(user: { uid: number; gid: number }): Promise<void>;
  /** Ends and removes everything that was made for the attempt; resolves when it is gone. */
  close(): Promise<void>;
  /** After `close`: removes files of the workspace that belong to other users than the worker's. */
  clearWorkspace(): Promise<void>;
}

/** Runs steps of one kind. Nothing is made for a task before its first step. */
export interface Executor {
  openTask(task: TaskContext): TaskSandbox;
  /** Ends what runs on this machine without this process, at once and without waiting: the process is about to die. */
  killAllNow(): void;
  /** Removes what is kept ready for tasks; tells what could not be removed. */
  close(): Promise<string | undefined>;
}

/** A step that could not be run, with the reason that its task will carry. */
export class StepFault extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, cause?: unknown) {
    super(reason.detail, cause === undefined ? undefined : { cause });
    this.name = "StepFault";
    this.reason = reason;
  }
}
