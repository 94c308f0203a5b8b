import { change, changeInput, find, type Mistakes, remove, types } from "./plant.ts";

const { queue, alarm, mapping, lambda, schedule } = types;

/** Mistakes in queues and in what takes from them, in stream consumers and in schedules. */
export const messageMistakes: Mistakes = {
  "every queue hands on what fails, and an alarm tells of it": {
    "a pool's queue without a redrive policy": change(queue, "PoolDefault", "redrivePolicy", undefined),
    "a queue that is its own dead-letter queue": (plan) => {
      const own = find(plan, queue, "PoolDefault");
      const policy = { deadLetterTargetArn: own.outputs.arn, maxReceiveCount: 20 };
      changeInput(own, "redrivePolicy", JSON.stringify(policy));
    },
    "another number of receives": (plan) => {
      const own = find(plan, queue, "PoolDefault");
      const policy = JSON.parse(String(own.inputs.redrivePolicy)) as object;
      changeInput(own, "redrivePolicy", JSON.stringify({ ...policy, maxReceiveCount: 3 }));
    },
    "a dead-letter queue without an alarm": remove(alarm, "dead-letters"),
    "an alarm that tells nobody": change(alarm, "failures", "alarmActions", []),
  },
  "queues have the attributes of shared/infrastructure": {
    "another visibility timeout": change(queue, "PoolDefault", "visibilityTimeoutSeconds", 60),
    "messages that live for four days": change(queue, "Dead", "messageRetentionSeconds", 345_600),
    "short polls": change(queue, "PoolDefault", "receiveWaitTimeSeconds", undefined),
    "a queue that is not encrypted": change(queue, "Failures", "sqsManagedSseEnabled", false),
  },
  "a message hides six times as long as the function that takes it may run": {
    "a function that may run as long as its message hides": change(lambda, "DeadLetters", "timeout", 180),
  },
  "event sources answer in part, and put aside what keeps failing": {
    "dead letters that come again together": change(mapping, "deadLetters", "functionResponseTypes", undefined),
    "a consumer without partial batch responses": change(mapping, "fold", "functionResponseTypes", []),
    "a consumer whose failures are dropped": change(mapping, "chores", "destinationConfig", undefined),
    "a consumer that does not halve a failing batch": change(mapping, "fold", "bisectBatchOnFunctionError", false),
    "a consumer that tries for ever": change(mapping, "fold", "maximumRetryAttempts", -1),
    "a consumer that skips what was written before it": change(mapping, "fold", "startingPosition", "LATEST"),
  },
  "each stream consumer sees the records it wants": {
    "a consumer without its filter": change(mapping, "chores", "filterCriteria", undefined),
    "a consumer that is not there": remove(mapping, "fold"),
  },
  "schedules exist and put aside what cannot be called, or fails": {
    "no sweep": remove(schedule),
    "a schedule that is switched off": change(schedule, "", "state", "DISABLED"),
    "another rate": change(schedule, "", "scheduleExpression", "rate(1 hour)"),
    "a schedule without a dead-letter queue": change(schedule, "", "target.deadLetterConfig", undefined),
    "failed sweeps that nobody hears of": remove("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"),
  },
};
