import { bucketLifecycle } from "../shared/infrastructure/bucket.ts";
import type { Stage } from "./stage.ts";

/** Deleted and replaced objects of a stage that keeps its data can be brought back for so long. */
const noncurrentDays = 30;

/** The one bucket: private, TLS only, encrypted, with the lifecycle of `shared/infrastructure/bucket.ts`. */
export function createBucket(stage: Stage) {
  const bucket = new sst.aws.Bucket("Files", {
    enforceHttps: true,
    versioning: stage.keepsData,
    // The console reads logs and artifacts by presigned links, which are what lets it in: its origin does not matter.
    cors: { allowMethods: ["GET", "HEAD"], allowOrigins: ["*"], allowHeaders: ["range"], maxAge: "1 hour" },
    transform: {
      bucket: { forceDestroy: !stage.keepsData },
    },
  });
  new aws.s3.BucketServerSideEncryptionConfiguration("FilesEncryption", {
    bucket: bucket.name,
    rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }],
  });
  // SST's own lifecycle knows neither unfinished uploads nor replaced versions.
  new aws.s3.BucketLifecycleConfiguration("FilesLifecycle", {
    bucket: bucket.name,
    rules: bucketLifecycle.map(({ id, prefix, tag, abortUploadDays, expireDays }) => ({
      id,
      status: "Enabled",
      filter: tag === undefined ? { prefix } : { and: { prefix, tags: { [tag.key]: tag.value } } },
      ...(abortUploadDays === undefined
        ? {}
        : { abortIncompleteMultipartUpload: { daysAfterInitiation: abortUploadDays } }),
      ...(expireDays === undefined ? {} : { expiration: { days: expireDays } }),
      // The rule of the whole prefix removes replaced versions of what has a tag, too.
      ...(stage.keepsData && tag === undefined ? { noncurrentVersionExpiration: { noncurrentDays } } : {}),
    })),
  });
  return bucket;
}
