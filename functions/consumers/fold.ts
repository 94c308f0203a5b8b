import type { DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import type { TaskItem } from "../../shared/repository/items.ts";
import { readTaskImage } from "../../shared/repository/stream-images.ts";
import type { Deps } from "../deps.ts";

/**
 * Folds what a batch of stream records tells, job by job. Of several records of one task only the newest counts: it
 * holds all that is not folded. On a failure the stream goes on from the first record of the job that failed.
 */
export async function foldRecords(
  deps: Pick<Deps, "fold" | "log">,
  event: DynamoDBStreamEvent,
): Promise<DynamoDBBatchResponse> {
  const jobs = new Map<string, { firstSequence: string; newest: Map<string, TaskItem> }>();
  for (const record of event.Records) {
    const image = readTaskImage(record.dynamodb?.NewImage);
    if (!image) continue;
    const job = jobs.get(image.jobId) ?? { firstSequence: record.dynamodb?.SequenceNumber ?? "", newest: new Map() };
    jobs.set(image.jobId, job);
    job.newest.set(image.task, image);
  }
  for (const [jobId, { firstSequence, newest }] of jobs) {
    try {
      await deps.fold.foldTasks(jobId, [...newest.values()]);
    } catch (error) {
      deps.log.error({ err: error, jobId }, "the fold failed; the stream tries again");
      return { batchItemFailures: [{ itemIdentifier: firstSequence }] };
    }
  }
  return { batchItemFailures: [] };
}
