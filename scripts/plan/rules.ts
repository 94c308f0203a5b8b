import { objectPrefixes } from "../../shared/domain/object-keys.ts";
import { bucketLifecycle } from "../../shared/infrastructure/bucket.ts";
import { type FunctionName, functionLimits } from "../../shared/infrastructure/functions.ts";
import {
  deadLetterQueueAttributes,
  failuresQueue,
  queueAttributes,
  redrivePolicy,
} from "../../shared/infrastructure/queues.ts";
import { schedules } from "../../shared/infrastructure/schedules.ts";
import { streamConsumers, streamDelivery, tableDefinition } from "../../shared/infrastructure/table.ts";
import { describeStage } from "../../stacks/stage.ts";
import { fleetRules } from "./fleet-rules.ts";
import type { Plan, PlannedResource } from "./plan-file.ts";
import { parsePolicy, roleOf, statementsOf } from "./policies.ts";
import { type Check, differences, expect, only, type Rule, type Violation } from "./rule.ts";

/** SQS makes a message visible again while its function still runs unless it hides this many times as long. */
const visibilityFactor = 6;

/** Actions that AWS allows on everything only: traces, names of parameters (without values), tokens for registries. */
const knowsNoResources = /^(xray:|ssm:DescribeParameters$|ecr:GetAuthorizationToken$)/;

/** Everything that a plan must hold. Each rule is proven by a planted mistake (test/stacks/rules.test.ts). */
export const rules: readonly Rule[] = [
  {
    name: "every queue hands on what fails, and an alarm tells of it",
    check(plan, check) {
      const queues = only(plan, "aws:sqs/queue:Queue");
      const alarmed = new Set(
        only(plan, "aws:cloudwatch/metricAlarm:MetricAlarm")
          .filter(({ inputs }) => Array.isArray(inputs.alarmActions) && inputs.alarmActions.length > 0)
          .map(({ inputs }) => (inputs.dimensions as Record<string, string> | undefined)?.QueueName),
      );
      const last = failuresQueue.name(plan.stage);
      for (const queue of queues) {
        const name = String(queue.inputs.name);
        if (name === last) {
          expect(check, queue, alarmed.has(name), "no alarm tells of what ends here");
          continue;
        }
        const policy = JSON.parse(String(queue.inputs.redrivePolicy ?? "null")) as {
          deadLetterTargetArn?: string;
          maxReceiveCount?: number;
        } | null;
        const target = queues.find(({ outputs }) => outputs.arn === policy?.deadLetterTargetArn);
        expect(check, queue, target !== undefined && target !== queue, "no queue of the plan takes its dead letters");
        expect(check, queue, alarmed.has(String(target?.inputs.name)), "no alarm is on its dead-letter queue");
        const wanted = redrivePolicy(String(target?.outputs.arn)).maxReceiveCount;
        expect(check, queue, policy?.maxReceiveCount === wanted, `maxReceiveCount is not ${wanted}`);
      }
    },
  },
  {
    name: "queues have the attributes of shared/infrastructure",
    check(plan, check) {
      const planned = {
        VisibilityTimeout: "visibilityTimeoutSeconds",
        MessageRetentionPeriod: "messageRetentionSeconds",
      };
      const names = { ...planned, ReceiveMessageWaitTimeSeconds: "receiveWaitTimeSeconds" };
      for (const queue of only(plan, "aws:sqs/queue:Queue")) {
        const name = String(queue.inputs.name);
        const wanted = name.endsWith("-dead")
          ? deadLetterQueueAttributes
          : name === failuresQueue.name(plan.stage)
            ? failuresQueue.attributes
            : queueAttributes;
        for (const [attribute, value] of Object.entries(wanted)) {
          const actual = queue.inputs[names[attribute as keyof typeof names]];
          expect(check, queue, actual === value, `${attribute} is ${String(actual)}, not ${value}`);
        }
        expect(check, queue, queue.inputs.sqsManagedSseEnabled === true, "not encrypted");
      }
    },
  },
  {
    name: "a message hides six times as long as the function that takes it may run",
    check(plan, check) {
      for (const mapping of only(plan, "aws:lambda/eventSourceMapping:EventSourceMapping")) {
        const queue = only(plan, "aws:sqs/queue:Queue").find(
          ({ outputs }) => outputs.arn === mapping.inputs.eventSourceArn,
        );
        if (!queue) continue;
        const lambda = lambdaOf(plan, mapping);
        const least = visibilityFactor * Number(lambda?.inputs.timeout);
        expect(check, queue, Number(queue.inputs.visibilityTimeoutSeconds) >= least, `hides less than ${least} s`);
      }
    },
  },
  {
    name: "event sources answer in part, and put aside what keeps failing",
    check(plan, check) {
      const queueArns = new Set(only(plan, "aws:sqs/queue:Queue").map(({ outputs }) => outputs.arn));
      for (const mapping of only(plan, "aws:lambda/eventSourceMapping:EventSourceMapping")) {
        const { inputs } = mapping;
        const types = (inputs.functionResponseTypes ?? []) as string[];
        expect(check, mapping, types.includes("ReportBatchItemFailures"), "no partial batch responses");
        expect(check, mapping, lambdaOf(plan, mapping) !== undefined, "calls no function of the plan");
        if (queueArns.has(inputs.eventSourceArn)) continue;
        const failure = inputs.destinationConfig as { onFailure?: { destinationArn?: string } } | undefined;
        expect(check, mapping, queueArns.has(failure?.onFailure?.destinationArn), "nothing takes what keeps failing");
        expect(check, mapping, inputs.bisectBatchOnFunctionError === true, "does not halve a failing batch");
        expect(check, mapping, inputs.startingPosition === "TRIM_HORIZON", "begins after what is there");
        for (const [key, value] of Object.entries(streamDelivery)) {
          expect(check, mapping, inputs[key] === value, `${key} is not ${value}`);
        }
      }
    },
  },
  {
    name: "each stream consumer sees the records it wants",
    check(plan, check) {
      for (const [name, patterns] of Object.entries(streamConsumers)) {
        const lambda = functionOf(plan, name as FunctionName);
        const mappings = only(plan, "aws:lambda/eventSourceMapping:EventSourceMapping").filter(
          ({ inputs }) => inputs.functionName === lambda?.inputs.name,
        );
        if (mappings.length !== 1) check.push({ resource: name, detail: `${mappings.length} event source mappings` });
        for (const mapping of mappings) {
          const table = only(plan, "aws:dynamodb/table:Table")[0];
          expect(
            check,
            mapping,
            mapping.inputs.eventSourceArn === table?.outputs.streamArn,
            "not on the table's stream",
          );
          const filters = (mapping.inputs.filterCriteria as { filters?: { pattern: string }[] } | undefined)?.filters;
          const actual = (filters ?? []).map(({ pattern }) => JSON.parse(pattern) as unknown);
          for (const detail of differences(actual, patterns)) expect(check, mapping, false, `filter: ${detail}`);
        }
      }
    },
  },
  {
    name: "the bucket is private, TLS only, encrypted, and its lifecycle is that of shared/infrastructure",
    check(plan, check) {
      for (const bucket of only(plan, "aws:s3/bucket:Bucket").filter(({ parent }) => parent?.endsWith("::Files"))) {
        const name = bucket.inputs.bucket;
        const of = (type: string) => only(plan, type).filter(({ inputs }) => inputs.bucket === name);
        const [block] = of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock");
        for (const key of ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"]) {
          expect(check, bucket, block?.inputs[key] === true, `${key} is not set`);
        }
        const statements = of("aws:s3/bucketPolicy:BucketPolicy").flatMap(({ inputs }) => parsePolicy(inputs.policy));
        const deniesPlain = statements.some(
          ({ Effect, Action, Resource, Condition }) =>
            Effect === "Deny" &&
            Action.includes("s3:*") &&
            Resource.includes(`arn:aws:s3:::${String(name)}/*`) &&
            JSON.stringify(Condition) === '{"Bool":{"aws:SecureTransport":["false"]}}',
        );
        expect(check, bucket, deniesPlain, "answers without TLS");
        expect(check, bucket, !statements.some(({ Effect }) => Effect === "Allow"), "its policy lets somebody in");
        const encryption = of("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration");
        expect(check, bucket, JSON.stringify(encryption[0]?.inputs ?? {}).includes("AES256"), "not encrypted");
        checkLifecycle(check, bucket, of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"));
      }
    },
  },
  {
    name: "the table is that of shared/infrastructure",
    check(plan, check) {
      const tables = only(plan, "aws:dynamodb/table:Table");
      if (tables.length !== 1) check.push({ resource: "the plan", detail: `${tables.length} tables` });
      const { partitionKey, sortKey, ttlAttribute, streamViewType, indexes } = tableDefinition;
      for (const table of tables) {
        const { inputs } = table;
        const actual = {
          hashKey: inputs.hashKey,
          rangeKey: inputs.rangeKey,
          billingMode: inputs.billingMode,
          ttl: inputs.ttl,
          streamEnabled: inputs.streamEnabled,
          streamViewType: inputs.streamViewType,
          pointInTimeRecovery: inputs.pointInTimeRecovery,
          globalSecondaryIndexes: inputs.globalSecondaryIndexes,
          localSecondaryIndexes: inputs.localSecondaryIndexes,
          attributes: sortByName(inputs.attributes),
        };
        const keys = [partitionKey, sortKey, ...Object.values(indexes).flatMap((i) => [i.partitionKey, i.sortKey])];
        const wanted = {
          hashKey: partitionKey,
          rangeKey: sortKey,
          billingMode: "PAY_PER_REQUEST",
          ttl: { attributeName: ttlAttribute, enabled: true },
          streamEnabled: true,
          streamViewType,
          pointInTimeRecovery: { enabled: true },
          globalSecondaryIndexes: Object.entries(indexes).map(([name, index]) => ({
            name,
            hashKey: index.partitionKey,
            rangeKey: index.sortKey,
            projectionType: "KEYS_ONLY",
          })),
          localSecondaryIndexes: [],
          attributes: sortByName(keys.map((name) => ({ name, type: "S" }))),
        };
        for (const detail of differences(actual, wanted)) expect(check, table, false, detail);
      }
    },
  },
  {
    name: "every function has its limits, its log and its runtime",
    check(plan, check) {
      for (const lambda of only(plan, "aws:lambda/function:Function")) {
        const { inputs } = lambda;
        const name = (Object.keys(functionLimits) as FunctionName[]).find(
          (known) => functionOf(plan, known) === lambda,
        );
        if (name === undefined) {
          check.push({ resource: String(inputs.name), detail: "has no limits in shared/infrastructure/functions.ts" });
          continue;
        }
        const { timeoutSeconds, memoryMb } = functionLimits[name];
        expect(check, lambda, inputs.timeout === timeoutSeconds, `timeout is not ${timeoutSeconds} s`);
        expect(check, lambda, inputs.memorySize === memoryMb, `memory is not ${memoryMb} MB`);
        expect(check, lambda, inputs.runtime === "nodejs24.x", "runtime is not nodejs24.x");
        const logging = inputs.loggingConfig as { logGroup?: string; logFormat?: string } | undefined;
        const group = only(plan, "aws:cloudwatch/logGroup:LogGroup").find((g) => g.inputs.name === logging?.logGroup);
        expect(check, lambda, Number(group?.inputs.retentionInDays) > 0, "its log is kept for ever");
        expect(check, lambda, logging?.logFormat === "JSON", "its log is no JSON");
      }
    },
  },
  {
    name: "every role is one function's own and may do nothing by a pattern",
    check(plan, check) {
      const lambdas = only(plan, "aws:lambda/function:Function");
      const roles = lambdas.map((lambda) => roleOf(plan, lambda));
      for (const [index, lambda] of lambdas.entries()) {
        const role = roles[index];
        expect(check, lambda, role !== undefined, "has no role of the plan");
        expect(check, lambda, roles.filter((other) => other === role).length === 1, "shares its role");
      }
      for (const role of only(plan, "aws:iam/role:Role")) checkRole(check, role);
    },
  },
  {
    name: "the API streams its answers",
    check(plan, check) {
      const api = functionOf(plan, "api");
      const [url] = only(plan, "aws:lambda/functionUrl:FunctionUrl").filter(
        ({ inputs }) => inputs.functionName === api?.inputs.name,
      );
      if (!url) check.push({ resource: "api", detail: "has no URL" });
      else expect(check, url, url.inputs.invokeMode === "RESPONSE_STREAM", "answers are not streamed");
    },
  },
  {
    name: "schedules exist and put aside what cannot be called, or fails",
    check(plan, check) {
      const queueArns = new Set(only(plan, "aws:sqs/queue:Queue").map(({ outputs }) => outputs.arn));
      const planned = only(plan, "aws:scheduler/schedule:Schedule");
      for (const [name, { everySeconds }] of Object.entries(schedules)) {
        const lambda = functionOf(plan, name as FunctionName);
        const schedule = planned.find(({ inputs }) => (inputs.target as { arn?: string }).arn === lambda?.outputs.arn);
        if (!lambda || !schedule) {
          check.push({ resource: name, detail: "is not called by any schedule" });
          continue;
        }
        const target = schedule.inputs.target as { deadLetterConfig?: { arn?: string } };
        expect(check, schedule, schedule.inputs.state === "ENABLED", "is not enabled");
        const minutes = everySeconds / 60;
        const rate = `rate(${minutes} minute${minutes === 1 ? "" : "s"})`;
        expect(check, schedule, schedule.inputs.scheduleExpression === rate, `does not run at ${rate}`);
        expect(check, schedule, queueArns.has(target.deadLetterConfig?.arn), "nothing takes calls that cannot be made");
        const [calls] = only(plan, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").filter(
          ({ inputs }) => inputs.functionName === lambda.inputs.name,
        );
        const onFailure = calls?.inputs.destinationConfig as { onFailure?: { destination?: string } } | undefined;
        expect(check, schedule, queueArns.has(onFailure?.onFailure?.destination), "nothing takes calls that fail");
        expect(check, lambda, Number(lambda.inputs.timeout) < everySeconds, "a call may overlap the next");
      }
    },
  },
  {
    name: "a stage that keeps its data cannot lose it to a deployment",
    check(plan, check) {
      const stage = describeStage(plan.stage);
      const [table] = only(plan, "aws:dynamodb/table:Table");
      const [bucket] = only(plan, "aws:s3/bucket:Bucket").filter(({ parent }) => parent?.endsWith("::Files"));
      if (!table || !bucket) return;
      expect(check, table, table.inputs.deletionProtectionEnabled === stage.keepsData, "deletion protection");
      expect(check, table, table.retainOnDelete === stage.keepsData, "retained when removed");
      expect(check, bucket, bucket.retainOnDelete === stage.keepsData, "retained when removed");
      expect(check, bucket, bucket.inputs.forceDestroy === !stage.keepsData, "emptied when removed");
      const versioned = only(plan, "aws:s3/bucketVersioning:BucketVersioning").some(
        ({ inputs }) => inputs.bucket === bucket.inputs.bucket,
      );
      expect(check, bucket, versioned === stage.keepsData, "versions of objects");
      const isProtected = plan.outputs._protect === stage.protect;
      if (!isProtected) check.push({ resource: "the stage", detail: "protection against removal" });
    },
  },
  {
    name: "the outputs say where everything is",
    check(plan, check) {
      for (const name of ["url", "console", "api", "adminToken", "workerToken", "table", "bucket", "queues"]) {
        const value = plan.outputs[name];
        const known = typeof value === "string" ? value !== "" : value !== undefined && value !== null;
        if (!known) check.push({ resource: name, detail: "is no output" });
      }
      for (const name of ["url", "api"]) {
        if (!String(plan.outputs[name]).startsWith("https://"))
          check.push({ resource: name, detail: "is no https URL" });
      }
    },
  },
  ...fleetRules,
];

/** Every way in which a plan breaks a rule. */
export function findViolations(plan: Plan): Violation[] {
  return rules.flatMap(({ name, check }) => {
    const found: Check = [];
    check(plan, found);
    return found.map((violation) => ({ rule: name, ...violation }));
  });
}

function functionOf(plan: Plan, name: FunctionName): PlannedResource | undefined {
  const component = name.replace(/^./, (letter) => letter.toUpperCase());
  return only(plan, "aws:lambda/function:Function").find((lambda) => lambda.name === `${component}Function`);
}

function lambdaOf(plan: Plan, mapping: PlannedResource): PlannedResource | undefined {
  return only(plan, "aws:lambda/function:Function").find(
    ({ inputs, outputs }) => inputs.name === mapping.inputs.functionName || outputs.arn === mapping.inputs.functionName,
  );
}

function checkLifecycle(check: Check, bucket: PlannedResource, configurations: readonly PlannedResource[]): void {
  expect(check, bucket, configurations.length === 1, `${configurations.length} lifecycle configurations`);
  const actual = ((configurations[0]?.inputs.rules ?? []) as Record<string, unknown>[]).map((rule) => ({
    id: rule.id,
    ...readFilter(rule.filter as LifecycleFilter | undefined),
    enabled: rule.status === "Enabled",
    abortUploadDays: (rule.abortIncompleteMultipartUpload as { daysAfterInitiation?: number } | undefined)
      ?.daysAfterInitiation,
    expireDays: (rule.expiration as { days?: number } | undefined)?.days,
  }));
  const wanted = bucketLifecycle.map(({ id, prefix, tag, abortUploadDays, expireDays }) => ({
    id,
    prefix,
    tag: tag === undefined ? undefined : `${tag.key}=${tag.value}`,
    enabled: true,
    abortUploadDays,
    expireDays,
  }));
  for (const detail of differences(actual, wanted)) expect(check, bucket, false, `lifecycle: ${detail}`);
  const prefixes = actual.map(({ prefix }) => prefix);
  const known: readonly string[] = Object.values(objectPrefixes);
  for (const prefix of prefixes) {
    expect(check, bucket, known.includes(String(prefix)), `lifecycle of a prefix that does not exist: ${prefix}`);
  }
  const filters = actual.map(({ prefix, tag }) => `${prefix} ${tag ?? ""}`);
  expect(check, bucket, new Set(filters).size === filters.length, "two lifecycle rules for the same objects");
}

type LifecycleFilter = { prefix?: string; and?: { prefix?: string; tags?: Record<string, string> } };

function readFilter(filter: LifecycleFilter | undefined): { prefix: string | undefined; tag: string | undefined } {
  const tags = Object.entries(filter?.and?.tags ?? {}).map(([key, value]) => `${key}=${value}`);
  return { prefix: filter?.and?.prefix ?? filter?.prefix, tag: tags.length === 0 ? undefined : tags.join() };
}

function checkRole(check: Check, role: PlannedResource): void {
  const managed = (role.inputs.managedPolicyArns ?? []) as string[];
  expect(check, role, managed.length === 0, `has policies written by others: ${managed.join(", ")}`);
  for (const { Effect, Principal } of parsePolicy(role.inputs.assumeRolePolicy)) {
    const services = (Principal as { Service?: unknown } | undefined)?.Service;
    const onlyService = typeof Principal === "object" && Object.keys(Principal ?? {}).join() === "Service";
    expect(check, role, Effect === "Allow" && onlyService && services !== undefined, "somebody else may become it");
  }
  for (const { Effect, Action, Resource } of statementsOf(role)) {
    if (Effect !== "Allow") continue;
    for (const action of Action) expect(check, role, !action.includes("*"), `allows the pattern ${action}`);
    const bound = Action.filter((action) => !knowsNoResources.test(action));
    if (bound.length > 0) expect(check, role, !Resource.includes("*"), `allows ${bound.join(", ")} on everything`);
  }
}

function sortByName(list: unknown): { name: string; type: string }[] {
  return [...((list ?? []) as { name: string; type: string }[])].sort((a, b) => a.name.localeCompare(b.name));
}
