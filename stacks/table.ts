import { tableDefinition } from "../shared/infrastructure/table.ts";
import type { Stage } from "./stage.ts";

/** The one table, as `shared/infrastructure/table.ts` defines it: on demand, with stream, TTL and point-in-time recovery. */
export function createTable(stage: Stage) {
  const { partitionKey, sortKey, ttlAttribute, streamViewType, indexes } = tableDefinition;
  const keys = [
    partitionKey,
    sortKey,
    ...Object.values(indexes).flatMap((index) => [index.partitionKey, index.sortKey]),
  ];
  return new sst.aws.Dynamo("Data", {
    fields: Object.fromEntries(keys.map((key) => [key, "string" as const])),
    primaryIndex: { hashKey: partitionKey, rangeKey: sortKey },
    globalIndexes: Object.fromEntries(
      Object.entries(indexes).map(([name, index]) => [
        name,
        { hashKey: index.partitionKey, rangeKey: index.sortKey, projection: "keys-only" as const },
      ]),
    ),
    ttl: ttlAttribute,
    stream: toStreamName(streamViewType),
    deletionProtection: stage.keepsData,
    // Owned by AWS, without cost per request. SST sets neither this nor anything else.
    transform: { table: { serverSideEncryption: undefined } },
  });
}

/** SST's word for a stream's view type. */
function toStreamName(viewType: "NEW_AND_OLD_IMAGES"): "new-and-old-images" {
  switch (viewType) {
    case "NEW_AND_OLD_IMAGES":
      return "new-and-old-images";
  }
}
