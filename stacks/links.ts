import type { PoolQueues } from "./pools.ts";

/** What the functions find under `Resource` (functions/resources.d.ts). */
export interface Links {
  table: sst.Linkable<{ name: $util.Output<string> }>;
  bucket: sst.Linkable<{ name: $util.Output<string> }>;
  pools: sst.Linkable<Record<string, { queueUrl: $util.Output<string> }>>;
}

/**
 * Carries names and URLs to the functions, and nothing else: linked as they are, SST's components would also grant
 * everything on what they stand for (`dynamodb:*`, `s3:*`, `sqs:*`).
 */
export function createLinks(table: sst.aws.Dynamo, bucket: sst.aws.Bucket, pools: readonly PoolQueues[]): Links {
  return {
    table: new sst.Linkable("Table", { properties: { name: table.name } }),
    bucket: new sst.Linkable("Bucket", { properties: { name: bucket.name } }),
    pools: new sst.Linkable("Pools", {
      properties: Object.fromEntries(pools.map(({ name, queue }) => [name, { queueUrl: queue.url }])),
    }),
  };
}
