import { type FunctionName, functionLimits } from "../shared/infrastructure/functions.ts";
import { accountResource } from "./account.ts";
import { type GrantTarget, grants } from "./grants.ts";
import { type Links, secretsPath } from "./links.ts";
import type { PoolQueues } from "./pools.ts";
import type { Stage } from "./stage.ts";

/** What functions are made with. */
export interface FunctionSurroundings {
  stage: Stage;
  /** Variables that every function gets: the limits that were set for the stage. */
  environment: Record<string, string>;
  /** Segments of every call go to X-Ray. */
  tracing: boolean;
  links: Links;
  table: sst.aws.Dynamo;
  bucket: sst.aws.Bucket;
  pools: readonly PoolQueues[];
  failures: sst.aws.Queue;
}

type Permissions = Exclude<sst.aws.FunctionArgs["permissions"], undefined>;
type Permission = { actions: string[]; resources: $util.Input<string>[] };

/** How one function differs from the others. */
export interface FunctionOptions {
  handler: string;
  /** What its triggers need, beside what its code may do (`grants`). */
  triggerPermissions?: readonly Permission[];
  /** Answers as a stream, at a URL of its own. */
  hasStreamingUrl?: boolean;
}

/** Name of a function on AWS, known before it exists: its role may write to its own log group only. */
export function functionName(stage: Stage, name: FunctionName): string {
  return `sluice-${stage.name}-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A function with a role of its own that may do what `grants` says and write its own log. */
export function createFunction(
  surroundings: FunctionSurroundings,
  name: FunctionName,
  { handler, triggerPermissions = [], hasStreamingUrl = false }: FunctionOptions,
): sst.aws.Function {
  const { stage, tracing, links, environment } = surroundings;
  const physicalName = functionName(stage, name);
  const { timeoutSeconds, memoryMb } = functionLimits[name];
  const permissions: Permission[] = [
    ...grants[name].map(({ on, actions }) => ({ actions: [...actions], resources: resolveTarget(surroundings, on) })),
    ...triggerPermissions,
    {
      actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [accountResource("logs", `log-group:/aws/lambda/${physicalName}:*`)],
    },
    // X-Ray knows no resources.
    ...(tracing ? [{ actions: ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources: ["*"] }] : []),
  ];
  return new sst.aws.Function(
    name.replace(/^./, (letter) => letter.toUpperCase()),
    {
      name: physicalName,
      description: `Sluice: ${name}`,
      handler,
      runtime: "nodejs24.x",
      // A fifth cheaper than x86-64 for the same work.
      architecture: "arm64",
      timeout: `${timeoutSeconds} seconds`,
      memory: `${memoryMb} MB`,
      environment,
      link: [links.table, links.bucket, links.secrets, links.pools],
      permissions: permissions as Permissions,
      logging: { retention: stage.logRetention, format: "json" },
      nodejs: { format: "esm", minify: true },
      ...(hasStreamingUrl ? { streaming: true, url: { authorization: "none" as const, cors: false } } : {}),
      transform: {
        function: (args) => {
          args.tracingConfig = { mode: tracing ? "Active" : "PassThrough" };
        },
        role: (args) => {
          // SST's own would also let each function write to every log group.
          args.managedPolicyArns = [];
          args.assumeRolePolicy = aws.iam.assumeRolePolicyForPrincipal({ Service: "lambda.amazonaws.com" });
        },
      },
    },
  );
}

function resolveTarget(
  { stage, table, bucket, pools }: FunctionSurroundings,
  target: GrantTarget,
): $util.Input<string>[] {
  if (target === "table") return [table.arn];
  if (target === "account") return ["*"];
  if (target === "bucket") return [bucket.arn];
  if (target === "secrets") return [accountResource("ssm", `parameter${secretsPath(stage)}/*`)];
  if (target === "pool-queues") return pools.map(({ queue }) => queue.arn);
  if (target === "dead-letter-queues") return pools.map(({ deadLetterQueue }) => deadLetterQueue.arn);
  if (target.startsWith("index:")) return [$interpolate`${table.arn}/index/${target.slice("index:".length)}`];
  return [$interpolate`${bucket.arn}/${target.slice("objects:".length)}*`];
}
