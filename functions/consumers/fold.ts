import type { DynamoDBBatchItemFailure, DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import pLimit from "p-limit";
import type { TaskItem } from "../../shared/repository/items.ts";
import { readTaskImage } from "../../shared/repository/stream-images.ts";
import type { Deps } from "../deps.ts";

/** Jobs have digests of their own, so their folds do not meet; one after the other, many small jobs would lag behind. */
const parallelFolds = 8;

/**
 * Folds what a batch of stream records tells, several jobs at a time. A job whose fold fails keeps none of the others
 * from being folded; the stream goes on from its first record, and what was folded already is not folded again.
 */
export async function foldRecords(
  deps: Pick<Deps, "fold" | "log">,
  event: DynamoDBStreamEvent,
): Promise<DynamoDBBatchResponse> {
  const jobs = new Map<string, { firstSequence: string; images: TaskItem[] }>();
  for (const record of event.Records) {
    const image = readTaskImage(record.dynamodb?.NewImage);
    if (!image) continue;
    const job = jobs.get(image.jobId) ?? { firstSequence: record.dynamodb?.SequenceNumber ?? "", images: [] };
    jobs.set(image.jobId, job);
    job.images.push(image);
  }
  const batchItemFailures: DynamoDBBatchItemFailure[] = [];
  const foldJob = async (jobId: string, firstSequence: string, images: readonly TaskItem[]) => {
    try {
      await deps.fold.foldTasks(jobId, images);
    } catch (error) {
      deps.log.error({ err: error, jobId }, "the fold failed; the stream tries again");
      batchItemFailures.push({ itemIdentifier: firstSequence });
    }
  };
  const limit = pLimit(parallelFolds);
  await Promise.all(
    [...jobs].map(([jobId, { firstSequence, images }]) => limit(() => foldJob(jobId, firstSequence, images))),
  );
  return { batchItemFailures };
}
