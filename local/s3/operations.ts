import { createBucket, deleteBucket, getBucketLocation, headBucket, listBuckets } from "./buckets.ts";
import { completeMultipartUpload } from "./completion.ts";
import { copyObject } from "./copies.ts";
import { deleteCors, getCors, putCors } from "./cors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { deleteLifecycle, getLifecycle, putLifecycle } from "./lifecycle.ts";
import { listMultipartUploads, listObjects, listObjectsV2 } from "./list-operations.ts";
import { abortMultipartUpload, createMultipartUpload, listParts, uploadPart, uploadPartCopy } from "./multipart.ts";
import { deleteObject, deleteObjects, getObject, putObject } from "./objects.ts";
import {
  deleteBucketTagging,
  deleteObjectTagging,
  getBucketTagging,
  getObjectTagging,
  putBucketTagging,
  putObjectTagging,
} from "./tagging.ts";
import type { OperationName } from "./target.ts";

type Operation = (exchange: Exchange, context: S3Context) => Promise<Answer>;

/** What each operation does. */
export const operations: Readonly<Record<OperationName, Operation>> = {
  ListBuckets: listBuckets,
  CreateBucket: createBucket,
  HeadBucket: headBucket,
  DeleteBucket: deleteBucket,
  GetBucketLocation: getBucketLocation,
  GetBucketLifecycleConfiguration: getLifecycle,
  PutBucketLifecycleConfiguration: putLifecycle,
  DeleteBucketLifecycle: deleteLifecycle,
  GetBucketCors: getCors,
  PutBucketCors: putCors,
  DeleteBucketCors: deleteCors,
  GetBucketTagging: getBucketTagging,
  PutBucketTagging: putBucketTagging,
  DeleteBucketTagging: deleteBucketTagging,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListMultipartUploads: listMultipartUploads,
  DeleteObjects: deleteObjects,
  PutObject: putObject,
  CopyObject: copyObject,
  GetObject: getObject,
  HeadObject: getObject,
  DeleteObject: deleteObject,
  GetObjectTagging: getObjectTagging,
  PutObjectTagging: putObjectTagging,
  DeleteObjectTagging: deleteObjectTagging,
  CreateMultipartUpload: createMultipartUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  ListParts: listParts,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: abortMultipartUpload,
};
