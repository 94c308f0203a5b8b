import { plural } from "../shared/domain/format.ts";
import type { FleetEvent, HeldAttempt } from "./fleet-event.ts";

/** A piece of a sentence: text, or what it speaks of, which a page can link to. */
export type FleetEventPiece = string | { worker: string } | { attempt: HeldAttempt };

/** How much an event matters to who looks after the fleet. */
export type FleetEventTone = "plain" | "good" | "warning" | "bad";

/** Tasks that are named in a line; the others are counted. */
const namedTasks = 3;

/** An event of a pool as one sentence, in pieces, and how much it matters. */
export function describeFleetEvent(event: FleetEvent): { pieces: FleetEventPiece[]; tone: FleetEventTone } {
  return { pieces: tell(event), tone: judge(event) };
}

/** The sentence as text: workers by their ids, attempts as `JOB/TASK (attempt N)`. */
export function toText(pieces: readonly FleetEventPiece[]): string {
  return pieces
    .map((piece) => {
      if (typeof piece === "string") return piece;
      if ("worker" in piece) return piece.worker;
      const { jobId, task, attempt } = piece.attempt;
      return `${jobId}/${task} (attempt ${attempt})`;
    })
    .join("");
}

function tell(event: FleetEvent): FleetEventPiece[] {
  const worker = { worker: "workerId" in event ? event.workerId : "" };
  switch (event.type) {
    case "worker_started":
      return [worker, ` started on ${event.host}, version ${event.version}, ${plural(event.slots, "slot")}`];
    case "worker_draining":
      return [worker, ` drains${event.cause ? `: ${event.cause.detail ?? event.cause.kind}` : ""}`];
    case "worker_undrained":
      return [worker, " takes tasks again"];
    case "worker_stopped":
      return event.clean
        ? [worker, " stopped in order"]
        : [worker, " stopped and left behind ", ...listAttempts(event.abandoned)];
    case "worker_lost":
      return [worker, ` (${event.host}) is lost; it held `, ...listAttempts(event.tasks)];
    case "worker_returned":
      return [worker, " is back"];
    case "health":
      return [worker, " is healthy"];
    case "recovering":
    case "recovered":
    case "recovery_failed": {
      const attempt = event.attempt === undefined ? "" : `, attempt ${event.attempt}`;
      const detail = event.detail === undefined ? "" : `: ${event.detail}`;
      return [worker, ` ${event.type.replaceAll("_", " ")}${attempt}${detail}`];
    }
    case "drain_requested":
      return [`${event.by} asked `, worker, " to drain"];
    case "undrain_requested":
      return [`${event.by} asked `, worker, " to go on"];
    case "scale_up": {
      const recovered = event.recoveredFrom === undefined ? "" : `, recovered from ${event.recoveredFrom}`;
      return [`${event.from} → ${plural(event.to, "worker")} (${event.kind}${recovered})`];
    }
    case "scale_down":
      return [`${event.from} → ${plural(event.to, "worker")} (${event.kind})`];
    case "desired_changed": {
      const before = event.from === null ? "" : `, not ${event.from}`;
      if (event.to === null) return [`${event.by} has it have any number of workers${before}`];
      return [`${event.by} wants ${plural(event.to, "worker")}${before}`];
    }
    case "pool_forgotten":
      return [`${event.by} had its past workers forgotten`];
  }
}

function judge(event: FleetEvent): FleetEventTone {
  switch (event.type) {
    case "worker_lost":
    case "recovery_failed":
      return "bad";
    case "scale_down":
      return event.kind === "lost" ? "bad" : "plain";
    case "worker_stopped":
      return event.clean ? "plain" : "warning";
    case "worker_returned":
      return "good";
    default:
      return "plain";
  }
}

function listAttempts(attempts: readonly HeldAttempt[]): FleetEventPiece[] {
  if (attempts.length === 0) return ["no task"];
  const others = attempts.length - namedTasks;
  const named = attempts
    .slice(0, namedTasks)
    .flatMap((attempt, index): FleetEventPiece[] => [index === 0 ? "" : ", ", { attempt }]);
  return others > 0 ? [...named, ` and ${plural(others, "other")}`] : named;
}
