import { Resource } from "sst/resource";
import { functionAwsOptions } from "../shared/clients/aws-options.ts";
import { createS3Client, presigningOptions } from "../shared/clients/object-store.ts";
import { createSqsClient } from "../shared/clients/queue.ts";
import type { SecretStore } from "../shared/clients/secret-store.ts";
import { createLogger } from "../shared/log.ts";
import { createDynamoDbClient } from "../shared/repository/table.ts";
import { buildDeps } from "./build-deps.ts";
import { describeCall } from "./call.ts";
import { parseConfig } from "./config.ts";
import type { Deps } from "./deps.ts";
import { createMetrics, type Metrics } from "./metrics.ts";

/** Loaded as needed: the client of AWS Systems Manager would slow the start of every stack that is not on AWS. */
const secrets = await openSecretStore();

/** Builds what one function process works with from its environment and the resources linked to it. */
export function wireDeps(service: string, env: NodeJS.ProcessEnv): Deps {
  const parsed = parseConfig(env);
  if (!parsed.ok) throw new Error(`the functions are not configured well: ${parsed.problems.join("; ")}`);
  // The link's own "type" stands beside the pools.
  const pools = Object.entries(Resource.Pools).filter(([name]) => name !== "type");
  return buildDeps({
    dynamoDb: createDynamoDbClient(functionAwsOptions),
    sqs: createSqsClient(functionAwsOptions),
    s3: createS3Client({ ...functionAwsOptions, ...presigningOptions }),
    tableName: Resource.Table.name,
    bucketName: Resource.Bucket.name,
    secrets,
    queueUrls: Object.fromEntries(pools.map(([name, { queueUrl }]) => [name, queueUrl])),
    ...parsed.config,
    log: createLogger(service, { mixin: describeCall }),
    now: Date.now,
  });
}

/** Tells metrics where there is a platform that reads them. */
export function wireMetrics({ log, now }: Pick<Deps, "log" | "now">, env: NodeJS.ProcessEnv): Metrics {
  return createMetrics(log, { stage: Resource.App.stage, enabled: env.AWS_LAMBDA_FUNCTION_NAME !== undefined, now });
}

async function openSecretStore(): Promise<SecretStore> {
  const resource = Resource.Secrets;
  switch (resource.kind) {
    case "ssm": {
      const { createSsmClient, createSsmSecretStore } = await import("../shared/clients/ssm-secret-store.ts");
      return createSsmSecretStore(createSsmClient(functionAwsOptions), resource.path);
    }
    case "local": {
      const { createLocalSecretStore } = await import("../shared/clients/local-secret-store.ts");
      return createLocalSecretStore(resource.folder);
    }
  }
}
