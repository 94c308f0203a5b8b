import { schedules } from "../shared/infrastructure/schedules.ts";
import { createFunction, type FunctionSurroundings } from "./function.ts";

/** The scheduled functions. A call that fails, or cannot even be made, is put aside where an alarm tells of it. */
export function createSchedules(surroundings: FunctionSurroundings) {
  const { failures } = surroundings;
  const sweep = createFunction(surroundings, "sweep", {
    handler: "functions/schedules/sweep-main.handler",
    triggerPermissions: [{ actions: ["sqs:SendMessage"], resources: [failures.arn] }],
  });
  // The schedule calls and forgets: what the function throws is the function's own to put aside. Not tried again, for
  // the next run does what this one could not.
  new aws.lambda.FunctionEventInvokeConfig("SweepCalls", {
    functionName: sweep.name,
    maximumRetryAttempts: 0,
    maximumEventAgeInSeconds: schedules.sweep.everySeconds,
    destinationConfig: { onFailure: { destination: failures.arn } },
  });
  new sst.aws.CronV2("SweepSchedule", {
    schedule: toRate(schedules.sweep.everySeconds),
    function: sweep.arn,
    retries: 2,
    dlq: failures.arn,
  });
  return { sweep };
}

/** A period as the scheduler takes it: whole minutes. */
function toRate(everySeconds: number): `rate(${string})` {
  const minutes = everySeconds / 60;
  if (!Number.isInteger(minutes) || minutes < 1) {
    throw new Error(`a schedule cannot run every ${everySeconds} s: whole minutes only`);
  }
  return `rate(${minutes} ${minutes === 1 ? "minute" : "minutes"})`;
}
