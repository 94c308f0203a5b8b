import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AttributeValue,
  CreateTableCommand,
  type CreateTableCommandInput,
  DynamoDBClient,
} from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import { startDynamoDb } from "../../../local/dynamodb/index.ts";
import { startDynamoDbLocal } from "../../support/peers.ts";
import { type DifferenceId, KNOWN_DIFFERENCES } from "./differences.ts";

/** The implementations that the contract is checked on. */
export type Implementation = "embedded" | "DynamoDB Local";

/** One running implementation with the product's own kind of clients. */
export type Target = {
  readonly implementation: Implementation;
  readonly client: DynamoDBClient;
  readonly documents: DynamoDBDocumentClient;
  readonly streams: DynamoDBStreamsClient;
  /** True where the table of known differences says that this implementation departs from AWS. */
  departsIn(difference: DifferenceId): boolean;
  stop(): Promise<void>;
};

/** Starts the embedded server on a folder of its own. */
export async function startEmbeddedTarget(): Promise<Target> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-dynamodb-"));
  const server = await startDynamoDb({ dataDir });
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  return connectTarget("embedded", { endpoint: server.url, region: "us-east-1", credentials }, async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
}

/** Starts Amazon's DynamoDB Local; undefined when it is not installed. */
export async function startPeerTarget(): Promise<Target | undefined> {
  const peer = await startDynamoDbLocal();
  if (peer === undefined) return undefined;
  const { endpoint, region, credentials } = peer;
  return connectTarget("DynamoDB Local", { endpoint, region, credentials }, () => peer.stop());
}

type Connection = {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
};

/** Clients for a server that runs already; stopping the target stops the server by the function given. */
export function connectTarget(
  implementation: Implementation,
  connection: Connection,
  stopServer: () => Promise<void> = async () => undefined,
): Target {
  // One attempt: a retry would hide a wrong answer.
  const client = new DynamoDBClient({ ...connection, maxAttempts: 1 });
  const streams = new DynamoDBStreamsClient({ ...connection, maxAttempts: 1 });
  return {
    implementation,
    client,
    documents: DynamoDBDocumentClient.from(client),
    streams,
    departsIn: (difference) => departed(difference).includes(implementation),
    stop: async () => {
      client.destroy();
      streams.destroy();
      await stopServer();
    },
  };
}

function departed(difference: DifferenceId): readonly Implementation[] {
  return KNOWN_DIFFERENCES[difference].departs;
}

/** Creates a table (pk, sk; index `byOwner` on owner, rank with all attributes; stream of both images) and returns its name. */
export async function createTable(target: Target, change: Partial<CreateTableCommandInput> = {}): Promise<string> {
  const name = `contract-${randomUUID()}`;
  await target.client.send(
    new CreateTableCommand({
      TableName: name,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [
        { AttributeName: "pk", AttributeType: "S" },
        { AttributeName: "sk", AttributeType: "S" },
        { AttributeName: "owner", AttributeType: "S" },
        { AttributeName: "rank", AttributeType: "N" },
      ],
      KeySchema: [
        { AttributeName: "pk", KeyType: "HASH" },
        { AttributeName: "sk", KeyType: "RANGE" },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: "byOwner",
          KeySchema: [
            { AttributeName: "owner", KeyType: "HASH" },
            { AttributeName: "rank", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: "ALL" },
        },
      ],
      StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      ...change,
    }),
  );
  return name;
}

/** What became of a request: its answer, or the name, reasons and item of the error that AWS names. */
export type Outcome<Answer> =
  | { readonly ok: true; readonly answer: Answer }
  | { readonly ok: false; readonly error: string; readonly reasons: readonly string[]; readonly item: unknown };

/** Turns an AWS error into a value, so that a case can compare it; anything else is thrown on. */
export async function settle<Answer>(request: Promise<Answer>): Promise<Outcome<Answer>> {
  try {
    return { ok: true, answer: await request };
  } catch (error) {
    if (!(error instanceof Error) || !("$fault" in error)) throw error;
    const reasons =
      "CancellationReasons" in error && Array.isArray(error.CancellationReasons) ? error.CancellationReasons : [];
    return {
      ok: false,
      error: error.name,
      reasons: reasons.map((reason: { Code?: string }) => reason.Code ?? "None"),
      // The document client leaves the values inside errors as they came.
      item: "Item" in error && error.Item ? unmarshall(error.Item as Record<string, AttributeValue>) : undefined,
    };
  }
}

/** The error name of a request that must fail, or "succeeded". */
export async function failureOf(request: Promise<unknown>): Promise<string> {
  const outcome = await settle(request);
  return outcome.ok ? "succeeded" : outcome.error;
}
