import type { SQSBatchItemFailure, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { nameDeadLetterQueue, queueNameOf } from "../../shared/infrastructure/queues.ts";
import type { Deps, Pool } from "../deps.ts";
import { settleDeadLetter } from "../operations/dead-letter.ts";

/** Settles a batch of dead letters. One that fails keeps none of the others from being settled, and comes again. */
export async function settleDeadLetters(deps: Deps, event: SQSEvent): Promise<SQSBatchResponse> {
  const batchItemFailures: SQSBatchItemFailure[] = [];
  for (const record of event.Records) {
    const { messageId, body, attributes } = record;
    try {
      const pool = findPoolOf(deps, record);
      const fate = await settleDeadLetter(deps, pool, {
        messageId,
        body,
        receiveCount: Number(attributes.ApproximateReceiveCount),
        sentAtMs: Number(attributes.SentTimestamp),
        firstReceivedAtMs: Number(attributes.ApproximateFirstReceiveTimestamp),
      });
      deps.log.warn({ pool: pool.name, messageId, fate }, "a dead letter was settled");
    } catch (error) {
      deps.log.error({ err: error, messageId }, "a dead letter could not be settled; it comes again");
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}

function findPoolOf(deps: Deps, { eventSourceARN }: SQSRecord): Pool {
  const name = queueNameOf(eventSourceARN);
  const pool = [...deps.pools.values()].find(({ queueUrl }) => nameDeadLetterQueue(queueNameOf(queueUrl)) === name);
  if (!pool) throw new Error(`${name} is the dead-letter queue of no pool`);
  return pool;
}
