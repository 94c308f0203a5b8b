import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { S3Client } from "@aws-sdk/client-s3";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { describe, expect, it } from "vitest";
import { createApp } from "../../functions/api/app.ts";
import type { Deps } from "../../functions/deps.ts";
import { provisionBucket, provisionPool, provisionTable } from "../../local/stack/provision.ts";
import { statementsOf } from "../../scripts/plan/policies.ts";
import { only } from "../../scripts/plan/rule.ts";
import { assumptions } from "../../shared/domain/cost/cost-model.ts";
import { defaultLimits } from "../../shared/domain/limits.ts";
import { timing } from "../../shared/domain/timing.ts";
import type { FunctionName } from "../../shared/infrastructure/functions.ts";
import { apiPaths } from "../../shared/infrastructure/paths.ts";
import { defaultPool } from "../../shared/infrastructure/queues.ts";
import { jobRules } from "../../shared/jobfile/rules.ts";
import { tokenItem } from "../../shared/repository/token-item.ts";
import { parseEcrRepositories } from "../../stacks/ecr-repositories.ts";
import { type GrantTarget, grants } from "../../stacks/grants.ts";
import { plannedRepositories, readPlans } from "./support/plans.ts";

const { production: plan, personal } = await readPlans();

type Input = Record<string, unknown>;

interface PlannedLifecycleRule {
  id: string;
  status: string;
  filter: { prefix?: string; and?: { prefix: string; tags: Record<string, string> } };
  abortIncompleteMultipartUpload?: { daysAfterInitiation: number };
  expiration?: { days: number };
}

/** A client that notes what it is asked, by the command's name, and answers what provisioning needs to go on. */
function recordCalls() {
  const calls: { name: string; input: Input }[] = [];
  const client = {
    async send(command: { constructor: { name: string }; input: Input }) {
      calls.push({ name: command.constructor.name.replace(/Command$/, ""), input: command.input });
      const name = String(
        command.input.QueueName ??
          String(command.input.QueueUrl ?? "")
            .split("/")
            .at(-1),
      );
      return {
        Table: { LatestStreamArn: "arn:stream", GlobalSecondaryIndexes: [] },
        QueueUrl: `http://queue/${name}`,
        Attributes: { QueueArn: `arn:aws:sqs:us-east-1:000000000000:${name}` },
      };
    },
  };
  return { calls, client };
}

describe("the local stack and the plan", () => {
  it("have the same table, field by field", async () => {
    const { calls, client } = recordCalls();
    await provisionTable(client as unknown as DynamoDBClient, "t").catch(() => undefined);
    const local = calls.find(({ name }) => name === "CreateTable")?.input ?? {};
    const localTtl = calls.find(({ name }) => name === "UpdateTimeToLive")?.input.TimeToLiveSpecification;
    const planned = only(plan, "aws:dynamodb/table:Table")[0]?.inputs ?? {};
    const attributes = planned.attributes as { name: string; type: string }[];
    const indexes = planned.globalSecondaryIndexes as Record<string, string>[];
    const keySchema = (hash: unknown, range: unknown) => [
      { AttributeName: hash, KeyType: "HASH" },
      { AttributeName: range, KeyType: "RANGE" },
    ];
    const byName = (list: unknown) =>
      [...(list as { AttributeName: string }[])].sort((a, b) => a.AttributeName.localeCompare(b.AttributeName));
    const ttl = planned.ttl as { attributeName: string; enabled: boolean };
    expect({ ...local, AttributeDefinitions: byName(local.AttributeDefinitions), TableName: undefined }).toEqual({
      TableName: undefined,
      BillingMode: planned.billingMode,
      AttributeDefinitions: byName(attributes.map(({ name, type }) => ({ AttributeName: name, AttributeType: type }))),
      KeySchema: keySchema(planned.hashKey, planned.rangeKey),
      GlobalSecondaryIndexes: indexes.map((index) => ({
        IndexName: index.name,
        KeySchema: keySchema(index.hashKey, index.rangeKey),
        Projection: { ProjectionType: index.projectionType },
      })),
      StreamSpecification: { StreamEnabled: planned.streamEnabled, StreamViewType: planned.streamViewType },
    });
    expect(localTtl).toEqual({ AttributeName: ttl.attributeName, Enabled: ttl.enabled });
  });

  it("have the same queues, field by field", async () => {
    const { calls, client } = recordCalls();
    await provisionPool(client as unknown as SQSClient, "production", defaultPool);
    const local = calls.filter(({ name }) => name === "CreateQueue").map(({ input }) => input);
    const planned = only(plan, "aws:sqs/queue:Queue").map(({ inputs }) => ({
      QueueName: inputs.name,
      Attributes: {
        ...(inputs.visibilityTimeoutSeconds === 30 && !inputs.redrivePolicy
          ? {}
          : { VisibilityTimeout: String(inputs.visibilityTimeoutSeconds) }),
        MessageRetentionPeriod: String(inputs.messageRetentionSeconds),
        ...(inputs.receiveWaitTimeSeconds === undefined
          ? {}
          : { ReceiveMessageWaitTimeSeconds: String(inputs.receiveWaitTimeSeconds) }),
        ...(inputs.redrivePolicy === undefined ? {} : { RedrivePolicy: inputs.redrivePolicy }),
      },
    }));
    const byName = (list: Input[]) => [...list].sort((a, b) => String(a.QueueName).localeCompare(String(b.QueueName)));
    expect(byName(local)).toEqual(byName(planned));
  });

  it("have the same lifecycle of the bucket", async () => {
    const { calls, client } = recordCalls();
    await provisionBucket(client as unknown as S3Client, "b");
    const local = calls.find(({ name }) => name === "PutBucketLifecycleConfiguration")?.input;
    const planned = only(plan, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")[0]?.inputs.rules;
    const rules = (planned as PlannedLifecycleRule[]).map(({ id, status, filter, expiration, ...rule }) => ({
      ID: id,
      Status: status,
      Filter: filter.and
        ? {
            And: {
              Prefix: filter.and.prefix,
              Tags: Object.entries(filter.and.tags).map(([Key, Value]) => ({ Key, Value })),
            },
          }
        : { Prefix: filter.prefix },
      ...(rule.abortIncompleteMultipartUpload && {
        AbortIncompleteMultipartUpload: {
          DaysAfterInitiation: rule.abortIncompleteMultipartUpload.daysAfterInitiation,
        },
      }),
      ...(expiration && { Expiration: { Days: expiration.days } }),
    }));
    expect(local?.LifecycleConfiguration).toEqual({ Rules: rules });
  });
});

/** What a function's triggers and its log need, beside what its code may do. */
const beside = /^(logs:|xray:|dynamodb:(DescribeStream|GetRecords|GetShardIterator|ListStreams))/;
/** The same of the one function that a queue triggers. */
const besideOfQueue = /^sqs:(ReceiveMessage|DeleteMessage|GetQueueAttributes)/;

/** The ARNs that a grant's target stands for. */
function resolveTarget(target: GrantTarget): string[] {
  const table = String(only(plan, "aws:dynamodb/table:Table")[0]?.outputs.arn);
  const bucket = `arn:aws:s3:::${String(plan.outputs.bucket)}`;
  const queues = only(plan, "aws:sqs/queue:Queue").map(({ outputs }) => String(outputs.arn));
  const [kind, rest] = target.split(":");
  switch (kind) {
    case "table":
      return [table];
    case "index":
      return [`${table}/index/${rest}`];
    case "bucket":
      return [bucket];
    case "objects":
      return [`${bucket}/${rest}*`];
    case "pool-queues":
      return queues.filter((arn) => !/-(dead|failures)$/.test(arn));
    case "dead-letter-queues":
      return queues.filter((arn) => arn.endsWith("-dead"));
    case "secrets":
      return ["arn:aws:ssm:us-east-1:000000000000:parameter/sluice/production/secrets/*"];
    default:
      return ["*"];
  }
}

describe("the plan", () => {
  it.each(Object.keys(grants) as FunctionName[])("gives the function %s its grants, and no other", (name) => {
    const component = name.replace(/^./, (letter) => letter.toUpperCase());
    const role = only(plan, "aws:iam/role:Role").find((candidate) => candidate.name === `${component}Role`);
    const failures = `sluice-production-failures`;
    const planned = (role ? statementsOf(role) : [])
      .flatMap(({ Action, Resource }) => Action.flatMap((action) => Resource.map((on) => `${action} ${on}`)))
      .filter((pair) => !beside.test(pair) && !pair.endsWith(failures))
      .filter((pair) => name !== "deadLetters" || !besideOfQueue.test(pair));
    const granted = grants[name].flatMap(({ on, actions }) =>
      actions.flatMap((action) => resolveTarget(on).map((arn) => `${action} ${arn}`)),
    );
    expect(planned.sort()).toEqual(granted.sort());
  });

  it("lets workers pull from the repositories that the deployment names, and from none where it names none", () => {
    const pullsOf = ({ resources }: typeof plan) => {
      const roles = resources.filter(({ type, name }) => type === "aws:iam/role:Role" && name.startsWith("Worker"));
      const statements = roles.flatMap(statementsOf).filter(({ Action }) => Action.join().includes("ecr:"));
      return statements.map(({ Action, Resource }) => [Action, Resource]);
    };
    const named = plannedRepositories.map((name) => `arn:aws:ecr:us-east-1:000000000000:repository/${name}`);
    expect(pullsOf(plan)).toEqual([
      [["ecr:GetAuthorizationToken"], ["*"]],
      [["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], named],
    ]);
    expect(pullsOf(personal)).toEqual([]);
    expect(parseEcrRepositories(" tools/builder ,team/*,, ")).toEqual(["team/*", "tools/builder"]);
    for (const wrong of ["Team", "a b", "arn:aws:ecr:us-east-1:1:repository/a", "/a", "a/", '"']) {
      expect(() => parseEcrRepositories(`fine,${wrong}`), wrong).toThrow("is no name of a repository");
    }
  });

  it("has the timings of shared/domain", () => {
    const queue = only(plan, "aws:sqs/queue:Queue").find(({ inputs }) => inputs.name === "sluice-production-default");
    expect(queue?.inputs).toMatchObject({
      visibilityTimeoutSeconds: timing.visibilityTimeoutSeconds,
      messageRetentionSeconds: timing.messageRetentionSeconds,
      receiveWaitTimeSeconds: timing.receiveWaitSeconds,
    });
  });

  it("has as many alarms, and disks as large, as the cost model says", () => {
    expect(only(plan, "aws:cloudwatch/metricAlarm:MetricAlarm")).toHaveLength(assumptions.alarms);
    for (const { inputs } of only(plan, "aws:ec2/launchTemplate:LaunchTemplate")) {
      const disks = inputs.blockDeviceMappings as { ebs: { volumeSize: number } }[];
      expect(disks.map(({ ebs }) => ebs.volumeSize)).toEqual([assumptions.workerDiskGb]);
    }
  });

  it("keeps what a job may ask to be kept", () => {
    const rules = only(plan, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")[0]?.inputs.rules;
    const days = (rules as { id: string; expiration?: { days: number } }[]).find(({ id }) => id === "jobs")?.expiration;
    expect((days?.days ?? 0) * 24 * 3_600_000).toBeGreaterThanOrEqual(jobRules.retentionMs);
  });

  it("knows its first tokens as the control plane will look for them", () => {
    const items = only(plan, "aws:dynamodb/tableItem:TableItem").map(
      ({ inputs }) => JSON.parse(String(inputs.item)) as Record<string, { S: string }>,
    );
    const plain = items.map((item) => Object.fromEntries(Object.entries(item).map(([key, { S }]) => [key, S])));
    for (const item of plain) {
      const hash = String(item.pk).slice("TOKEN#".length);
      expect(hash).toMatch(/^[0-9a-f]{64}$/);
      expect(item).toEqual(tokenItem(hash, { name: String(item.name), role: item.role as "admin" }));
    }
    expect(plain.map(({ role }) => role).sort()).toEqual(["admin", "worker"]);
  });

  it("holds no token in the clear outside of Parameter Store", () => {
    const values = only(plan, "random:index/randomPassword:RandomPassword").map(({ outputs }) =>
      String(outputs.result),
    );
    const places = plan.resources.filter((resource) =>
      values.some((value) => JSON.stringify(resource.inputs).includes(value)),
    );
    expect([...new Set(places.map(({ type }) => type))]).toEqual(["aws:ssm/parameter:Parameter"]);
    expect(places.every(({ inputs }) => inputs.type === "SecureString")).toBe(true);
  });

  it("sends every path of the API to the API", () => {
    const app = createApp({ limits: defaultLimits } as Deps);
    const paths = app.routes.map(({ path }) => path).filter((path) => !["/*", "/", "*"].includes(path));
    const isCovered = (path: string) => apiPaths.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
    expect(paths.filter((path) => !isCovered(path))).toEqual([]);
  });
});
