import type { Context, ScheduledEvent } from "aws-lambda";
import type { Logger } from "../../shared/log.ts";
import { createLambdaContext } from "./context.ts";

/** A function that runs on a schedule. */
export interface ScheduledFunction {
  name: string;
  everySeconds: number;
  /** Time of one call; a call is not ended, but its function sees how much is left. */
  timeoutSeconds: number;
  handler: (event: ScheduledEvent, context: Context) => Promise<unknown>;
}

/** Calls scheduled functions at their rate, the first time at once; a call under way is not overtaken. */
export function startSchedules(functions: readonly ScheduledFunction[], log: Logger): { close(): Promise<void> } {
  const running = new Map<string, Promise<void>>();
  const call = (fn: ScheduledFunction) => {
    if (running.has(fn.name)) return;
    const done = fn
      .handler(toEvent(fn.name), createLambdaContext(fn.name, fn.timeoutSeconds * 1000))
      .then(
        () => undefined,
        (error: unknown) => log.error({ err: error, schedule: fn.name }, "the scheduled function failed"),
      )
      .finally(() => running.delete(fn.name));
    running.set(fn.name, done);
  };
  const timers = functions.map((fn) => {
    call(fn);
    return setInterval(() => call(fn), fn.everySeconds * 1000);
  });
  return {
    async close() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(running.values());
    },
  };
}

function toEvent(name: string): ScheduledEvent {
  return {
    version: "0",
    id: crypto.randomUUID(),
    account: "000000000000",
    region: "local",
    source: "aws.scheduler",
    "detail-type": "Scheduled Event",
    time: new Date().toISOString(),
    resources: [`arn:aws:scheduler:local:000000000000:schedule/default/${name}`],
    detail: {},
  };
}
