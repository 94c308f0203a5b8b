import type { Context, DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import { runCall } from "../call.ts";
import { wireDeps, wireMetrics } from "../wire.ts";
import { foldRecords } from "./fold.ts";

const deps = wireDeps("fold", process.env);
const tellMetrics = wireMetrics(deps, process.env);

/** The fold as a Lambda function on the table's stream (partial batch responses). */
export const handler = (event: DynamoDBStreamEvent, context: Context): Promise<DynamoDBBatchResponse> =>
  runCall(context, async () => {
    const answer = await foldRecords(deps, event);
    tellMetrics({ FoldedRecords: event.Records.length, FoldLagMs: lagOf(event) });
    return answer;
  });

/** How long the oldest record waited, in milliseconds; the stream tells its time in seconds. */
function lagOf({ Records }: DynamoDBStreamEvent): number {
  const writtenAt = Records.map(({ dynamodb }) => Number(dynamodb?.ApproximateCreationDateTime ?? Number.NaN) * 1000);
  const oldestMs = Math.min(...writtenAt.filter((at) => !Number.isNaN(at)), deps.now());
  return deps.now() - oldestMs;
}
