import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { createSqsServer } from "../../local/sqs/index.ts";
import { startElasticMq } from "../support/peers.ts";
import { FIFO_CASES } from "./sqs-cases/fifo-cases.ts";
import { ELASTICMQ_DIFFERENCES } from "./sqs-cases/known-differences.ts";
import { QUEUE_CASES } from "./sqs-cases/queue-cases.ts";
import { RECEIVE_CASES } from "./sqs-cases/receive-cases.ts";
import { REDRIVE_CASES } from "./sqs-cases/redrive-cases.ts";
import { SEND_CASES } from "./sqs-cases/send-cases.ts";
import { openClient, type SqsCase, SqsSession, type SqsTarget } from "./sqs-cases/session.ts";
import { VISIBILITY_CASES } from "./sqs-cases/visibility-cases.ts";

const CASES: readonly SqsCase[] = [
  ...QUEUE_CASES,
  ...SEND_CASES,
  ...RECEIVE_CASES,
  ...VISIBILITY_CASES,
  ...REDRIVE_CASES,
  ...FIFO_CASES,
];

type RunningTarget = SqsTarget & { stop(): Promise<void> };

/** Runs all cases against one server; undefined stands for one that is not installed. */
function describeTarget(
  name: string,
  start: () => Promise<RunningTarget | undefined>,
  differences: Readonly<Record<string, string>>,
): void {
  describe.concurrent(`SQS contract: ${name}`, () => {
    let target: RunningTarget | undefined;
    let client: SQSClient | undefined;

    beforeAll(async () => {
      target = await start();
      if (target !== undefined) client = openClient(target);
    });

    afterAll(async () => {
      client?.destroy();
      await target?.stop();
    });

    const runCase = async (context: TestContext, run: SqsCase["run"]) => {
      if (client === undefined) return context.skip(`${name} is not installed`);
      const session = new SqsSession(client);
      try {
        await run(session);
      } finally {
        await session.close();
      }
    };

    for (const { title, run } of CASES) {
      const difference = differences[title];
      if (difference === undefined) {
        it(title, (context) => runCase(context, run));
      } else {
        it(`differs: ${title} (${difference})`, (context) =>
          runCase(context, (session) => expect(run(session), "no difference any more: remove it").rejects.toThrow()));
      }
    }
  });
}

async function startEmbedded(): Promise<RunningTarget> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-sqs-"));
  const region = "eu-central-1";
  const credentials = { accessKeyId: "contract", secretAccessKey: "contract-secret" };
  const server = await createSqsServer({ dataDir, region, credentials });
  const stop = async () => {
    await server.close();
    await rm(dataDir, { recursive: true });
  };
  return { endpoint: server.url, region, credentials, stop };
}

describeTarget("embedded server", startEmbedded, {});
describeTarget("ElasticMQ", startElasticMq, ELASTICMQ_DIFFERENCES);

it("knows only differences of cases that exist", () => {
  const titles = CASES.map(({ title }) => title);
  expect(new Set(titles).size).toBe(titles.length);
  expect(Object.keys(ELASTICMQ_DIFFERENCES).filter((title) => !titles.includes(title))).toEqual([]);
});
