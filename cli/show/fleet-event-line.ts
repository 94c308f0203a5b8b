import type { FleetEvent } from "../../events/index.ts";
import { plural } from "../../shared/domain/format.ts";
import type { StyleName } from "../terminal/style.ts";

/** Tasks that are named in a line; the others are counted. */
const namedTasks = 3;

/** An event of a pool as one line, and what it looks like where it matters. */
export function describeFleetEvent(event: FleetEvent): { text: string; style?: StyleName } {
  switch (event.type) {
    case "worker_started":
      return {
        text: `${event.workerId} started on ${event.host}, version ${event.version}, ${plural(event.slots, "slot")}`,
      };
    case "worker_draining":
      return { text: `${event.workerId} drains${event.cause ? `: ${event.cause.detail ?? event.cause.kind}` : ""}` };
    case "worker_undrained":
      return { text: `${event.workerId} takes tasks again` };
    case "worker_stopped":
      return event.clean
        ? { text: `${event.workerId} stopped in order` }
        : { text: `${event.workerId} stopped and left behind ${listTasks(event.abandoned)}`, style: "yellow" };
    case "worker_lost": {
      const held = event.tasks.length === 0 ? "no task" : listTasks(event.tasks);
      return { text: `${event.workerId} (${event.host}) is lost; it held ${held}`, style: "red" };
    }
    case "worker_returned":
      return { text: `${event.workerId} is back`, style: "green" };
    case "health":
      return { text: `${event.workerId} is healthy` };
    case "recovering":
    case "recovered":
    case "recovery_failed": {
      const attempt = event.attempt === undefined ? "" : `, attempt ${event.attempt}`;
      const detail = event.detail === undefined ? "" : `: ${event.detail}`;
      const text = `${event.workerId} ${event.type.replaceAll("_", " ")}${attempt}${detail}`;
      return event.type === "recovery_failed" ? { text, style: "red" } : { text };
    }
    case "drain_requested":
      return { text: `${event.by} asked ${event.workerId} to drain` };
    case "undrain_requested":
      return { text: `${event.by} asked ${event.workerId} to go on` };
    case "scale_up": {
      const recovered = event.recoveredFrom === undefined ? "" : `, recovered from ${event.recoveredFrom}`;
      return { text: `${event.from} → ${plural(event.to, "worker")} (${event.kind}${recovered})` };
    }
    case "scale_down": {
      const text = `${event.from} → ${plural(event.to, "worker")} (${event.kind})`;
      return event.kind === "lost" ? { text, style: "red" } : { text };
    }
    case "pool_forgotten":
      return { text: `${event.by} had its past workers forgotten` };
  }
}

function listTasks(tasks: readonly { jobId: string; task: string; attempt: number }[]): string {
  const named = tasks.slice(0, namedTasks).map(({ jobId, task, attempt }) => `${jobId}/${task} (attempt ${attempt})`);
  const others = tasks.length - named.length;
  return `${named.join(", ")}${others > 0 ? ` and ${plural(others, "other")}` : ""}`;
}
