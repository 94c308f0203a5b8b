import { SqsError } from "./errors.ts";
import type { Operation } from "./operation.ts";
import { readOptionalInteger, readOptionalString, readString } from "./request-fields.ts";

const MAX_LISTED_TASKS = 10;

const startMessageMoveTask: Operation = (context, fields) => {
  const TaskHandle = context.moveTasks.start(
    readString(fields, "SourceArn"),
    readOptionalString(fields, "DestinationArn"),
    readOptionalInteger(fields, "MaxNumberOfMessagesPerSecond"),
  );
  return { body: { TaskHandle } };
};

const listMessageMoveTasks: Operation = (context, fields) => {
  const maxResults = readOptionalInteger(fields, "MaxResults") ?? 1;
  if (maxResults < 1 || maxResults > MAX_LISTED_TASKS) {
    throw new SqsError(
      "InvalidParameterValueException",
      `Value for parameter MaxResults is invalid. Must be between 1 and ${MAX_LISTED_TASKS}.`,
    );
  }
  const Results = context.moveTasks.list(readString(fields, "SourceArn"), maxResults).map(({ task, handle }) => ({
    TaskHandle: handle,
    Status: task.status,
    SourceArn: task.sourceArn,
    DestinationArn: task.destinationArn,
    MaxNumberOfMessagesPerSecond: task.maxMessagesPerSecond,
    ApproximateNumberOfMessagesMoved: task.messagesMoved,
    ApproximateNumberOfMessagesToMove: task.messagesToMove,
    FailureReason: task.failureReason,
    StartedTimestamp: task.startedAtMs,
  }));
  return { body: { Results } };
};

const cancelMessageMoveTask: Operation = (context, fields) => {
  const moved = context.moveTasks.cancel(readString(fields, "TaskHandle"));
  return { body: { ApproximateNumberOfMessagesMoved: moved } };
};

/** Moving messages back out of dead-letter queues. */
export const REDRIVE_OPERATIONS: Readonly<Record<string, Operation>> = {
  CancelMessageMoveTask: cancelMessageMoveTask,
  ListMessageMoveTasks: listMessageMoveTasks,
  StartMessageMoveTask: startMessageMoveTask,
};
