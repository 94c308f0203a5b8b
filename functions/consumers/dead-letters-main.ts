import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { wireDeps } from "../wire.ts";
import { settleDeadLetters } from "./dead-letters.ts";

const deps = wireDeps("dead-letters", process.env);

/** What becomes of dead letters, as a Lambda function on the pools' dead-letter queues (partial batch responses). */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> => settleDeadLetters(deps, event);
