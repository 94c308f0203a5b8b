import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import type { Logger } from "../../shared/log.ts";
import type { ExecutorKind } from "../config.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import type { Executor } from "../executors/executor.ts";
import type { MetricRecorder } from "../metrics/metric-recorder.ts";

/** What attempts need of their worker. Times in milliseconds. */
export interface AttemptDeps {
  workerId: string;
  workerDir: string;
  executors: ReadonlyMap<ExecutorKind, Executor>;
  client: ControlPlaneClient;
  objects: ObjectStore;
  metrics: Pick<MetricRecorder, "open">;
  /** From SIGTERM to SIGKILL. */
  killGraceMs: number;
  /** How long lines of a log may wait: while somebody watches, and else. */
  logFlushMs: { watched: number; unwatched: number };
  /** Bytes of text that are kept of one log; what is printed beyond them is dropped. */
  maxLogBytes: { step: number; service: number };
  /** Uploads and the manifest are tried for this long. */
  uploadDeadlineMs: number;
  /** How the attempt ended, before it is reported. */
  onOutcome: (outcome: AttemptOutcome) => void;
  /** Aborted when a drain has no more time: for steps to end by themselves, for logs and output, manifests, reports. */
  deadlines: Record<"kill" | "keep" | "commit" | "report", AbortSignal>;
  /** Told of work after the steps, which a drain waits for; each tells what is wrong with what it did. */
  onWork: (phase: "logs" | "artifacts" | "samples" | "results", work: Promise<string | undefined>) => void;
  log: Logger;
}
