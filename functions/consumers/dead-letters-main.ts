import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { runCall } from "../call.ts";
import { wireDeps, wireMetrics } from "../wire.ts";
import { settleDeadLetters } from "./dead-letters.ts";

const deps = wireDeps("dead-letters", process.env);
const tellMetrics = wireMetrics(deps, process.env);

/** What becomes of dead letters, as a Lambda function on the pools' dead-letter queues (partial batch responses). */
export const handler = (event: SQSEvent, context: Context): Promise<SQSBatchResponse> =>
  runCall(context, async () => {
    tellMetrics({ DeadLetters: event.Records.length });
    return settleDeadLetters(deps, event);
  });
