import { afterAll, beforeAll, describe } from "vitest";
import { describeBuckets } from "./s3/buckets.ts";
import { describeChecksums } from "./s3/checksums.ts";
import { describeConditions } from "./s3/conditions.ts";
import { describeListing } from "./s3/listing.ts";
import { describeMultipart } from "./s3/multipart.ts";
import { describeObjects } from "./s3/objects.ts";
import { describePresigned } from "./s3/presigned.ts";
import { describeSettings } from "./s3/settings.ts";
import { createSuite, type Implementation, startEmbeddedTarget, startMotoTarget, type Target } from "./s3/target.ts";

// Started here and not in a hook, as the cases of a peer that is not installed must be skipped before they run.
const moto = await startMotoTarget();

describe("embedded S3", () => describeContract("embedded", startEmbeddedTarget));
describe.skipIf(moto === undefined)("moto", () =>
  describeContract("moto", async () => {
    if (moto === undefined) throw new Error("moto is not installed");
    return { ...moto, stop: async () => undefined };
  }),
);
// For the whole file, so that it also ends when a filter leaves all of its cases out.
afterAll(() => moto?.stop());

function describeContract(implementation: Implementation, start: () => Promise<Target>): void {
  let running: Target | undefined;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running?.stop());
  const suite = createSuite(implementation, () => {
    if (running === undefined) throw new Error("the implementation is not running");
    return running;
  });
  describeBuckets(suite);
  describeObjects(suite);
  describeConditions(suite);
  describeListing(suite);
  describeMultipart(suite);
  describeChecksums(suite);
  describePresigned(suite);
  describeSettings(suite);
}
