import { describe, expect, inject, it } from "vitest";
import type { Plan, PlannedResource } from "../../scripts/plan/plan-file.ts";
import { findViolations, rules } from "../../scripts/plan/rules.ts";

const { production, personal } = inject("plans");

/** A mistake in a plan, and the rule that finds it. */
interface Mistake {
  rule: string;
  mistake: string;
  plant(plan: Plan): void;
}

/** The first resource of a type whose name in the program contains a text. */
function find(plan: Plan, type: string, name = ""): PlannedResource {
  const found = plan.resources.find((resource) => resource.type === type && resource.name.includes(name));
  if (!found) throw new Error(`the plan has no ${type} ${name}`);
  return found;
}

function remove(plan: Plan, resource: PlannedResource): void {
  plan.resources = plan.resources.filter((other) => other !== resource);
}

/** Changes an input; a path goes into objects and lists. */
function set(resource: PlannedResource, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  let target: Record<string, unknown> = resource.inputs;
  for (const key of keys) target = target[key] as Record<string, unknown>;
  if (value === undefined) delete target[last];
  else target[last] = value;
}

function editPolicy(role: PlannedResource, edit: (statements: Record<string, unknown>[]) => void): void {
  const policies = role.inputs.inlinePolicies as { policy: string }[];
  for (const inline of policies) {
    const document = JSON.parse(inline.policy) as { Statement: Record<string, unknown>[] };
    edit(document.Statement);
    inline.policy = JSON.stringify(document);
  }
}

const queue = "aws:sqs/queue:Queue";
const alarm = "aws:cloudwatch/metricAlarm:MetricAlarm";
const mapping = "aws:lambda/eventSourceMapping:EventSourceMapping";
const lambda = "aws:lambda/function:Function";
const role = "aws:iam/role:Role";
const table = "aws:dynamodb/table:Table";
const template = "aws:ec2/launchTemplate:LaunchTemplate";
const lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration";
const schedule = "aws:scheduler/schedule:Schedule";

const deadLetters = "every queue hands on what fails, and an alarm tells of it";
const attributes = "queues have the attributes of shared/infrastructure";
const hiding = "a message hides six times as long as the function that takes it may run";
const sources = "event sources answer in part, and put aside what keeps failing";
const filters = "each stream consumer sees the records it wants";
const bucketRule = "the bucket is private, TLS only, encrypted, and its lifecycle is that of shared/infrastructure";
const tableRule = "the table is that of shared/infrastructure";
const functionRule = "every function has its limits, its log and its runtime";
const roleRule = "every role is one function's own and may do nothing by a pattern";
const scheduleRule = "schedules exist and put aside what cannot be called, or fails";
const keepRule = "a stage that keeps its data cannot lose it to a deployment";
const outputRule = "the outputs say where everything is";
const hardened = "workers start hardened, and are gone when they shut down";
const inbound = "nobody may connect to a worker";
const workerRule = "a worker's credentials take messages of its pool and write its outputs, nothing else";
const idleRule = "nothing costs money by the hour while idle";

const mistakes: Mistake[] = [
  {
    rule: deadLetters,
    mistake: "a pool's queue without a redrive policy",
    plant: (plan) => set(find(plan, queue, "PoolDefault"), "redrivePolicy", undefined),
  },
  {
    rule: deadLetters,
    mistake: "a queue that is its own dead-letter queue",
    plant(plan) {
      const own = find(plan, queue, "PoolDefault");
      set(own, "redrivePolicy", JSON.stringify({ deadLetterTargetArn: own.outputs.arn, maxReceiveCount: 20 }));
    },
  },
  {
    rule: deadLetters,
    mistake: "another number of receives",
    plant(plan) {
      const own = find(plan, queue, "PoolDefault");
      const policy = JSON.parse(String(own.inputs.redrivePolicy)) as object;
      set(own, "redrivePolicy", JSON.stringify({ ...policy, maxReceiveCount: 3 }));
    },
  },
  {
    rule: deadLetters,
    mistake: "a dead-letter queue without an alarm",
    plant: (plan) => remove(plan, find(plan, alarm, "dead-letters")),
  },
  {
    rule: deadLetters,
    mistake: "an alarm that tells nobody",
    plant: (plan) => set(find(plan, alarm, "failures"), "alarmActions", []),
  },
  {
    rule: attributes,
    mistake: "another visibility timeout",
    plant: (plan) => set(find(plan, queue, "PoolDefault"), "visibilityTimeoutSeconds", 60),
  },
  {
    rule: attributes,
    mistake: "messages that live for four days",
    plant: (plan) => set(find(plan, queue, "Dead"), "messageRetentionSeconds", 345_600),
  },
  {
    rule: attributes,
    mistake: "short polls",
    plant: (plan) => set(find(plan, queue, "PoolDefault"), "receiveWaitTimeSeconds", undefined),
  },
  {
    rule: attributes,
    mistake: "a queue that is not encrypted",
    plant: (plan) => set(find(plan, queue, "Failures"), "sqsManagedSseEnabled", false),
  },
  {
    rule: hiding,
    mistake: "a function that may run as long as its message hides",
    plant: (plan) => set(find(plan, lambda, "DeadLetters"), "timeout", 180),
  },
  {
    rule: sources,
    mistake: "dead letters that come again together",
    plant: (plan) => set(find(plan, mapping, "deadLetters"), "functionResponseTypes", undefined),
  },
  {
    rule: sources,
    mistake: "a consumer without partial batch responses",
    plant: (plan) => set(find(plan, mapping, "fold"), "functionResponseTypes", []),
  },
  {
    rule: sources,
    mistake: "a consumer whose failures are dropped",
    plant: (plan) => set(find(plan, mapping, "chores"), "destinationConfig", undefined),
  },
  {
    rule: sources,
    mistake: "a consumer that does not halve a failing batch",
    plant: (plan) => set(find(plan, mapping, "fold"), "bisectBatchOnFunctionError", false),
  },
  {
    rule: sources,
    mistake: "a consumer that tries for ever",
    plant: (plan) => set(find(plan, mapping, "fold"), "maximumRetryAttempts", -1),
  },
  {
    rule: sources,
    mistake: "a consumer that skips what was written before it",
    plant: (plan) => set(find(plan, mapping, "fold"), "startingPosition", "LATEST"),
  },
  {
    rule: filters,
    mistake: "a consumer without its filter",
    plant: (plan) => set(find(plan, mapping, "chores"), "filterCriteria", undefined),
  },
  {
    rule: filters,
    mistake: "a consumer that is not there",
    plant: (plan) => remove(plan, find(plan, mapping, "fold")),
  },
  {
    rule: bucketRule,
    mistake: "public access that is not blocked",
    plant: (plan) =>
      set(find(plan, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"), "blockPublicPolicy", false),
  },
  {
    rule: bucketRule,
    mistake: "a bucket that answers without TLS",
    plant: (plan) => set(find(plan, "aws:s3/bucketPolicy:BucketPolicy"), "policy", JSON.stringify({ Statement: [] })),
  },
  {
    rule: bucketRule,
    mistake: "a bucket policy that lets everybody read",
    plant(plan) {
      const policy = find(plan, "aws:s3/bucketPolicy:BucketPolicy");
      const document = JSON.parse(String(policy.inputs.policy)) as { Statement: unknown[] };
      document.Statement.push({ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "*" });
      set(policy, "policy", JSON.stringify(document));
    },
  },
  {
    rule: bucketRule,
    mistake: "a bucket that is not encrypted",
    plant: (plan) =>
      remove(
        plan,
        find(plan, "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"),
      ),
  },
  {
    rule: bucketRule,
    mistake: "a lifecycle of a prefix that does not exist",
    plant: (plan) => set(find(plan, lifecycle), "rules.0.filter.prefix", "job/"),
  },
  {
    rule: bucketRule,
    mistake: "two lifecycle rules for one prefix",
    plant: (plan) => set(find(plan, lifecycle), "rules.1.filter.prefix", "jobs/"),
  },
  {
    rule: bucketRule,
    mistake: "uploads that stay unfinished for ever",
    plant: (plan) => set(find(plan, lifecycle), "rules.0.abortIncompleteMultipartUpload", undefined),
  },
  { rule: tableRule, mistake: "another sort key", plant: (plan) => set(find(plan, table), "rangeKey", "sort") },
  {
    rule: tableRule,
    mistake: "an index on a key that is not declared",
    plant: (plan) => set(find(plan, table), "globalSecondaryIndexes.0.hashKey", "listPkk"),
  },
  {
    rule: tableRule,
    mistake: "an index of whole items",
    plant: (plan) => set(find(plan, table), "globalSecondaryIndexes.1.projectionType", "ALL"),
  },
  {
    rule: tableRule,
    mistake: "a stream without old images",
    plant: (plan) => set(find(plan, table), "streamViewType", "NEW_IMAGE"),
  },
  {
    rule: tableRule,
    mistake: "a table without point-in-time recovery",
    plant: (plan) => set(find(plan, table), "pointInTimeRecovery.enabled", false),
  },
  {
    rule: tableRule,
    mistake: "items that never expire",
    plant: (plan) => set(find(plan, table), "ttl", undefined),
  },
  {
    rule: functionRule,
    mistake: "an old runtime",
    plant: (plan) => set(find(plan, lambda, "Api"), "runtime", "nodejs22.x"),
  },
  { rule: functionRule, mistake: "another timeout", plant: (plan) => set(find(plan, lambda, "Fold"), "timeout", 3) },
  {
    rule: functionRule,
    mistake: "another memory",
    plant: (plan) => set(find(plan, lambda, "Fold"), "memorySize", 128),
  },
  {
    rule: functionRule,
    mistake: "a log that is kept for ever",
    plant: (plan) => set(find(plan, "aws:cloudwatch/logGroup:LogGroup", "Api"), "retentionInDays", 0),
  },
  {
    rule: functionRule,
    mistake: "a function that nothing in shared/ knows",
    plant: (plan) => plan.resources.push({ ...find(plan, lambda, "Fold"), name: "UnknownFunction" }),
  },
  {
    rule: roleRule,
    mistake: "a role that may do everything on the table",
    plant: (plan) =>
      editPolicy(find(plan, role, "ApiRole"), ([first]) => Object.assign(first ?? {}, { Action: "dynamodb:*" })),
  },
  {
    rule: roleRule,
    mistake: "a role that may read every object there is",
    plant: (plan) =>
      editPolicy(find(plan, role, "ApiRole"), (all) =>
        all.push({ Effect: "Allow", Action: "s3:GetObject", Resource: "*" }),
      ),
  },
  {
    rule: roleRule,
    mistake: "a policy written by others",
    plant: (plan) =>
      set(find(plan, role, "FoldRole"), "managedPolicyArns", [
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
      ]),
  },
  {
    rule: roleRule,
    mistake: "a role that the whole account may take",
    plant: (plan) =>
      set(find(plan, role, "SweepRole"), "assumeRolePolicy", {
        Statement: [
          {
            Effect: "Allow",
            Action: "sts:AssumeRole",
            Principal: { Service: "lambda.amazonaws.com", AWS: "arn:aws:iam::000000000000:root" },
          },
        ],
      }),
  },
  {
    rule: roleRule,
    mistake: "two functions with one role",
    plant: (plan) => set(find(plan, lambda, "Chores"), "role", find(plan, lambda, "Fold").inputs.role),
  },
  {
    rule: "the API streams its answers",
    mistake: "answers that are sent when they are whole",
    plant: (plan) => set(find(plan, "aws:lambda/functionUrl:FunctionUrl"), "invokeMode", "BUFFERED"),
  },
  { rule: scheduleRule, mistake: "no sweep", plant: (plan) => remove(plan, find(plan, schedule)) },
  {
    rule: scheduleRule,
    mistake: "a schedule that is switched off",
    plant: (plan) => set(find(plan, schedule), "state", "DISABLED"),
  },
  {
    rule: scheduleRule,
    mistake: "another rate",
    plant: (plan) => set(find(plan, schedule), "scheduleExpression", "rate(1 hour)"),
  },
  {
    rule: scheduleRule,
    mistake: "a schedule without a dead-letter queue",
    plant: (plan) => set(find(plan, schedule), "target.deadLetterConfig", undefined),
  },
  {
    rule: scheduleRule,
    mistake: "failed sweeps that nobody hears of",
    plant: (plan) => remove(plan, find(plan, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")),
  },
  {
    rule: keepRule,
    mistake: "a table that may be deleted",
    plant: (plan) => set(find(plan, table), "deletionProtectionEnabled", false),
  },
  {
    rule: keepRule,
    mistake: "a table that goes with its stack",
    plant(plan) {
      find(plan, table).retainOnDelete = false;
    },
  },
  {
    rule: keepRule,
    mistake: "a bucket that is emptied",
    plant: (plan) => set(find(plan, "aws:s3/bucket:Bucket", "Files"), "forceDestroy", true),
  },
  {
    rule: keepRule,
    mistake: "a stage that may be removed",
    plant(plan) {
      plan.outputs._protect = false;
    },
  },
  {
    rule: outputRule,
    mistake: "no API URL",
    plant(plan) {
      delete plan.outputs.api;
    },
  },
  {
    rule: outputRule,
    mistake: "no console URL",
    plant(plan) {
      plan.outputs.console = "";
    },
  },
  {
    rule: hardened,
    mistake: "IMDSv1",
    plant: (plan) => set(find(plan, template), "metadataOptions.httpTokens", "optional"),
  },
  {
    rule: hardened,
    mistake: "metadata that containers reach",
    plant: (plan) => set(find(plan, template), "metadataOptions.httpPutResponseHopLimit", 2),
  },
  {
    rule: hardened,
    mistake: "a disk in the clear",
    plant: (plan) => set(find(plan, template), "blockDeviceMappings.0.ebs.encrypted", "false"),
  },
  {
    rule: hardened,
    mistake: "a shutdown that leaves a stopped instance",
    plant: (plan) => set(find(plan, template), "instanceInitiatedShutdownBehavior", "stop"),
  },
  { rule: hardened, mistake: "no template for arm64", plant: (plan) => remove(plan, find(plan, template, "arm64")) },
  {
    rule: hardened,
    mistake: "a foreign security group",
    plant: (plan) => set(find(plan, template), "vpcSecurityGroupIds", ["sg-1234"]),
  },
  {
    rule: inbound,
    mistake: "SSH from anywhere",
    plant: (plan) =>
      set(find(plan, "aws:ec2/securityGroup:SecurityGroup"), "ingress", [
        { protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: ["0.0.0.0/0"] },
      ]),
  },
  {
    rule: workerRule,
    mistake: "a worker that may send messages",
    plant: (plan) =>
      editPolicy(find(plan, role, "Worker"), ([first]) => Object.assign(first ?? {}, { Action: ["sqs:SendMessage"] })),
  },
  {
    rule: workerRule,
    mistake: "a worker that may read every output",
    plant: (plan) =>
      editPolicy(find(plan, role, "Worker"), (all) =>
        all.push({ Effect: "Allow", Action: ["s3:GetObject"], Resource: "arn:aws:s3:::bucket/jobs/*" }),
      ),
  },
  {
    rule: workerRule,
    mistake: "a worker that may take dead letters",
    plant: (plan) =>
      editPolicy(find(plan, role, "Worker"), ([first]) =>
        Object.assign(first ?? {}, { Resource: find(plan, queue, "Dead").outputs.arn }),
      ),
  },
  {
    rule: workerRule,
    mistake: "a worker that cannot delete its messages",
    plant: (plan) =>
      editPolicy(find(plan, role, "Worker"), ([first]) =>
        Object.assign(first ?? {}, { Action: ["sqs:ReceiveMessage"] }),
      ),
  },
  {
    rule: idleRule,
    mistake: "a NAT gateway",
    plant: (plan) => plan.resources.push({ ...find(plan, template), type: "aws:ec2/natGateway:NatGateway" }),
  },
  {
    rule: idleRule,
    mistake: "an interface endpoint",
    plant: (plan) => set(find(plan, "aws:ec2/vpcEndpoint:VpcEndpoint"), "vpcEndpointType", "Interface"),
  },
];

describe("the plan", () => {
  it.each([
    ["a stage that keeps its data", production],
    ["somebody's own, with tracing", personal],
  ])("of %s holds every rule", (_, plan) => {
    expect(findViolations(plan)).toEqual([]);
  });

  it.each(mistakes)("is refused with $mistake", ({ rule, plant }) => {
    const plan = structuredClone(production);
    plant(plan);
    expect(findViolations(plan).map((violation) => violation.rule)).toContain(rule);
  });

  it("has a planted mistake for every rule", () => {
    const planted = new Set(mistakes.map(({ rule }) => rule));
    expect(rules.map(({ name }) => name).filter((name) => !planted.has(name))).toEqual([]);
  });
});
