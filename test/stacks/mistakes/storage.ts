import { change, changeInput, find, type Mistakes, remove, types } from "./plant.ts";

const { table, lifecycle } = types;
const bucketPolicy = "aws:s3/bucketPolicy:BucketPolicy";
const publicAccess = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock";
const encryption = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration";

/** Mistakes in the bucket and the table. */
export const storageMistakes: Mistakes = {
  "the bucket is private, TLS only, encrypted, and its lifecycle is that of shared/infrastructure": {
    "public access that is not blocked": change(publicAccess, "", "blockPublicPolicy", false),
    "a bucket that answers without TLS": change(bucketPolicy, "", "policy", JSON.stringify({ Statement: [] })),
    "a bucket policy that lets everybody read": (plan) => {
      const policy = find(plan, bucketPolicy);
      const document = JSON.parse(String(policy.inputs.policy)) as { Statement: unknown[] };
      document.Statement.push({ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "*" });
      changeInput(policy, "policy", JSON.stringify(document));
    },
    "a bucket that is not encrypted": remove(encryption),
    "a lifecycle of a prefix that does not exist": change(lifecycle, "", "rules.0.filter.prefix", "job/"),
    "two lifecycle rules for one prefix": change(lifecycle, "", "rules.1.filter.prefix", "jobs/"),
    "uploads that stay unfinished for ever": change(lifecycle, "", "rules.0.abortIncompleteMultipartUpload", undefined),
  },
  "the table is that of shared/infrastructure": {
    "another sort key": change(table, "", "rangeKey", "sort"),
    "an index on a key that is not declared": change(table, "", "globalSecondaryIndexes.0.hashKey", "listPkk"),
    "an index of whole items": change(table, "", "globalSecondaryIndexes.1.projectionType", "ALL"),
    "a stream without old images": change(table, "", "streamViewType", "NEW_IMAGE"),
    "a table without point-in-time recovery": change(table, "", "pointInTimeRecovery.enabled", false),
    "items that never expire": change(table, "", "ttl", undefined),
  },
  "a stage that keeps its data cannot lose it to a deployment": {
    "a table that may be deleted": change(table, "", "deletionProtectionEnabled", false),
    "a table that goes with its stack": (plan) => {
      find(plan, table).retainOnDelete = false;
    },
    "a bucket that is emptied": change("aws:s3/bucket:Bucket", "Files", "forceDestroy", true),
    "a stage that may be removed": (plan) => {
      plan.outputs._protect = false;
    },
  },
};
