import { afterAll, beforeAll, describe } from "vitest";
import { describeConditions } from "./dynamodb/conditions.ts";
import { describeReads } from "./dynamodb/reads.ts";
import { describeStreams } from "./dynamodb/streams.ts";
import { describeTables } from "./dynamodb/tables.ts";
import { startEmbeddedTarget, startPeerTarget, type Target } from "./dynamodb/target.ts";
import { describeTransactions } from "./dynamodb/transactions.ts";
import { describeUpdates } from "./dynamodb/updates.ts";

// Started here and not in a hook, as the cases of a peer that is not installed must be skipped before they run.
const peer = await startPeerTarget();

describe("embedded DynamoDB", () => describeContract(startEmbeddedTarget));
describe.skipIf(peer === undefined)("DynamoDB Local", () =>
  describeContract(async () => {
    if (peer === undefined) throw new Error("DynamoDB Local is not installed");
    return peer;
  }),
);

function describeContract(start: () => Promise<Target>): void {
  let running: Target | undefined;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running?.stop());
  const target = () => {
    if (running === undefined) throw new Error("the implementation is not running");
    return running;
  };
  describeTables(target);
  describeConditions(target);
  describeUpdates(target);
  describeTransactions(target);
  describeReads(target);
  describeStreams(target);
}
