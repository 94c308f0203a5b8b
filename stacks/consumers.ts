import { deadLetterConsumer } from "../shared/infrastructure/queues.ts";
import { streamConsumers, streamDelivery } from "../shared/infrastructure/table.ts";
import { createFunction, type FunctionSurroundings } from "./function.ts";

/** The functions on the table's stream: each sees the records it wants, in order, and says which of them failed. */
export function createStreamConsumers(surroundings: FunctionSurroundings) {
  return {
    fold: createStreamConsumer(surroundings, "fold", "functions/consumers/fold-main.handler"),
    chores: createStreamConsumer(surroundings, "chores", "functions/consumers/chores-main.handler"),
  };
}

function createStreamConsumer(surroundings: FunctionSurroundings, name: keyof typeof streamConsumers, handler: string) {
  const { table, failures } = surroundings;
  const { streamArn } = table.nodes.table;
  const fn = createFunction(surroundings, name, {
    handler,
    triggerPermissions: [
      {
        actions: [
          "dynamodb:DescribeStream",
          "dynamodb:GetRecords",
          "dynamodb:GetShardIterator",
          "dynamodb:ListStreams",
        ],
        resources: [streamArn],
      },
      { actions: ["sqs:SendMessage"], resources: [failures.arn] },
    ],
  });
  new aws.lambda.EventSourceMapping(`${name}Stream`, {
    eventSourceArn: streamArn,
    functionName: fn.name,
    // What was written before the mapping existed is consumed too; seeing a record twice changes nothing.
    startingPosition: "TRIM_HORIZON",
    batchSize: streamDelivery.batchSize,
    maximumRetryAttempts: streamDelivery.maximumRetryAttempts,
    bisectBatchOnFunctionError: true,
    functionResponseTypes: ["ReportBatchItemFailures"],
    filterCriteria: { filters: streamConsumers[name].map((pattern) => ({ pattern: JSON.stringify(pattern) })) },
    destinationConfig: { onFailure: { destinationArn: failures.arn } },
  });
  return fn;
}

/** The function on the pools' dead-letter queues. A letter it cannot settle comes again, and at last is put aside. */
export function createDeadLetterConsumer(surroundings: FunctionSurroundings) {
  const { pools } = surroundings;
  const fn = createFunction(surroundings, "deadLetters", {
    handler: "functions/consumers/dead-letters-main.handler",
    triggerPermissions: [
      {
        actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        resources: pools.map(({ deadLetterQueue }) => deadLetterQueue.arn),
      },
    ],
  });
  for (const { name, deadLetterQueue } of pools) {
    new aws.lambda.EventSourceMapping(`deadLetters-${name}`, {
      eventSourceArn: deadLetterQueue.arn,
      functionName: fn.name,
      batchSize: deadLetterConsumer.batchSize,
      functionResponseTypes: ["ReportBatchItemFailures"],
    });
  }
  return fn;
}
