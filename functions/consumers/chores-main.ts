import type { Context, DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import { runCall } from "../call.ts";
import { wireDeps } from "../wire.ts";
import { workOnChores } from "./chores.ts";

const deps = wireDeps("chores", process.env);
/** Kept back for the last write before the platform ends the call. */
const reserveMs = 10_000;

/** Chores as a Lambda function on the table's stream (partial batch responses). */
export const handler = (event: DynamoDBStreamEvent, context: Context): Promise<DynamoDBBatchResponse> =>
  runCall(context, () => workOnChores(deps, event, context.getRemainingTimeInMillis() - reserveMs));
