import { randomUUID } from "node:crypto";
import type { Worker } from "../../shared/api/schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import type { App } from "./view.ts";

/** Asks whether to end a job, or one of its tasks, does it and tells what became of it. */
export function askToCancel(app: App, job: string, task?: string, onDone?: () => void): void {
  const what = task === undefined ? `job ${job}` : `${task} of ${job}`;
  app.confirm(`cancel ${what}?`, async () => {
    const { status } = await (task === undefined ? app.api.cancelJob(job) : app.api.cancelTask(job, task));
    if (status === "already_ended") return app.say(`${what} has ended already; nothing to cancel`);
    app.say(`cancelling ${what}`, "yellow");
    onDone?.();
  });
}

/** Asks whether to run ended tasks again: those named, or all that failed or timed out. */
export function askToRetry(app: App, job: string, tasks?: readonly string[], onDone?: () => void): void {
  const what = tasks === undefined ? "what failed" : tasks.join(", ");
  app.confirm(`run ${what} of ${job} again?`, async () => {
    const retried = await app.api.retryTasks(job, tasks, { idempotencyKey: randomUUID() });
    const dependants = retried.dependants > 0 ? `, and ${plural(retried.dependants, "task")} that wait for them` : "";
    app.say(`running ${plural(retried.tasks.length, "task")} of ${job} again${dependants}`, "green");
    onDone?.();
  });
}

/** Asks whether a worker should drain, or go on where somebody had asked it to. */
export function askToDrain(app: App, { workerId, state, held, drainRequestedAt }: Worker, onDrain?: () => void): void {
  if (state === "stopped" || state === "lost") {
    app.say(`${workerId} is ${state}; it cannot be asked`, "yellow");
    return;
  }
  if (drainRequestedAt !== undefined) {
    app.confirm(`let ${workerId} go on?`, async () => {
      await app.api.askWorker(workerId, "undrain");
      app.say(`${workerId} goes on: it takes tasks again`, "green");
    });
    return;
  }
  const finishes = held > 0 ? `It finishes ${plural(held, "task")} and ends.` : "It ends.";
  app.confirm(`drain ${workerId}? ${finishes}`, async () => {
    await app.api.askWorker(workerId, "drain");
    app.say(`${workerId} drains: it takes nothing new, and ends`, "yellow");
    onDrain?.();
  });
}
