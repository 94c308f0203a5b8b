import { describe, it } from "vitest";
import type { ServiceFaults } from "../../local/aws/fault-config.ts";
import type { FaultRules } from "../../local/aws/faults.ts";
import { useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { findImage } from "../support/chaos/image.ts";
import { randomFrom } from "../support/chaos/random.ts";
import { planJob } from "../support/chaos/workload.ts";

const startStack = useFaultStacks();
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const services = ["dynamodb", "sqs", "s3"] as const;

/** About a third of all requests goes wrong, each in one of the ways that clients meet. */
const rules: FaultRules = [
  { operation: "*", kind: "throttle", everyNth: 13 },
  { operation: "*", kind: "error500", everyNth: 17 },
  { operation: "*", kind: "error503", everyNth: 19 },
  { operation: "*", kind: "reset", everyNth: 23 },
  { operation: "*", kind: "lost_answer", everyNth: 11 },
  { operation: "*", kind: "timeout", everyNth: 47, delayMs: 2_000 },
  { operation: "*", kind: "delay", everyNth: 29, delayMs: 300 },
];

/** The operations on which the most hangs: here every second answer gets lost after the operation took effect. */
const lost: ServiceFaults = {
  dynamodb: ["UpdateItem", "TransactWriteItems"].map((operation) => ({ operation, kind: "lost_answer", everyNth: 2 })),
  sqs: ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ReceiveMessage"].map(
    (operation) => ({ operation, kind: "lost_answer", everyNth: 2 }),
  ),
  s3: ["PutObject", "GetObject"].map((operation) => ({ operation, kind: "lost_answer", everyNth: 2 })),
};

const cases: { name: string; faults: Partial<ServiceFaults> }[] = [
  ...services.map((service) => ({ name: `${service} throttles, fails and breaks off`, faults: { [service]: rules } })),
  { name: "every second answer of each service gets lost", faults: lost },
];

describe(`jobs on a cloud in which requests fail (seed ${seed})`, () => {
  it.for(cases)("end with every task run to its end once where $name", { timeout: 300_000 }, async ({ faults }) => {
    const found = await findImage();
    const image = "image" in found ? found.image : undefined;
    const running = await startStack({ workers: 2, slots: 2, env: { SLUICE_FAULTS: JSON.stringify(faults) } });
    const random = randomFrom(seed);
    const plans = [1, 2].map((index) => planJob(random, index, 10, image));
    const jobs = await Promise.all(plans.map(async (plan) => ({ plan, jobId: await running.submit(plan) })));
    for (const { plan, jobId } of jobs) await running.expectSound(plan, jobId);
  });
});
