import type { PoolQueues } from "./pools.ts";
import type { Stage } from "./stage.ts";

/** Parameters below this path are the secrets of jobs. */
export function secretsPath(stage: Stage): string {
  return `/sluice/${stage.name}/secrets`;
}

/** What the functions find under `Resource` (functions/resources.d.ts). */
export interface Links {
  table: sst.Linkable<{ name: $util.Output<string> }>;
  bucket: sst.Linkable<{ name: $util.Output<string> }>;
  secrets: sst.Linkable<{ kind: string; path: string }>;
  pools: sst.Linkable<Record<string, { queueUrl: $util.Output<string> }>>;
}

/**
 * Carries names and URLs to the functions, and nothing else: linked as they are, SST's components would also grant
 * everything on what they stand for (`dynamodb:*`, `s3:*`, `sqs:*`).
 */
export function createLinks(
  stage: Stage,
  { table, bucket, pools }: { table: sst.aws.Dynamo; bucket: sst.aws.Bucket; pools: readonly PoolQueues[] },
): Links {
  return {
    table: new sst.Linkable("Table", { properties: { name: table.name } }),
    bucket: new sst.Linkable("Bucket", { properties: { name: bucket.name } }),
    secrets: new sst.Linkable("Secrets", { properties: { kind: "ssm", path: secretsPath(stage) } }),
    pools: new sst.Linkable("Pools", {
      properties: Object.fromEntries(pools.map(({ name, queue }) => [name, { queueUrl: queue.url }])),
    }),
  };
}
