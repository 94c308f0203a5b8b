/**
 * Limits of what users may send and get. Each is checked where it enters, with an error that names it. These are the
 * largest values; where it says so an installation may set lower ones (`docs/limits.md`).
 */
export const limits = {
  /** Tasks of one job. May be lowered. */
  tasksPerJob: 10_000,
  /** Jobs of one pool that have not ended. May be set. */
  jobsInFlight: 2_000,
  /**
   * Bytes of a request body. A Lambda takes 6 MB with the body as a JSON text, in which each quote counts twice. May be
   * lowered.
   */
  requestBodyBytes: 4 * 1024 * 1024,
  /** Bytes of one task as JSON: its item (400 KB) also keeps what all its attempts have to tell. */
  taskBytes: 128 * 1024,
  /** Bytes of a job's spec without its tasks: it is one DynamoDB item (400 KB). */
  jobSpecBytes: 256 * 1024,
  /** Characters of an Idempotency-Key. */
  idempotencyKeyLength: 128,
  /** Messages a worker may claim in one call: what one SQS receive returns. */
  claimsPerCall: 10,
  /** Blobs of one image: Docker takes 127 layers, and there is its configuration. */
  imageBlobs: 200,
  /** Bytes of an image's blob that is sent in one piece; a larger one is sent in parts, so that it can be resumed. */
  imagePieceBytes: 8 * 1024 * 1024,
  /** Parts of one blob. S3 takes 10,000 and lists 1,000 at once. */
  imageParts: 1_000,
  /** Links to parts of a blob that are asked for in one call. */
  imagePartLinks: 100,
  /** Days for which an image is kept after a job used it, come what may: for so long the job can be retried. */
  imageRetryDays: 7,
  /** Days without use after which an image is removed. May be set. */
  imageDays: 30,
  /** Gigabytes of images; above, those that were unused longest are removed. May be set. */
  imageGigabytes: 500,
  /** Results of attempts that a worker may report in one call. */
  resultsPerCall: 10,
  /** Items of one page of a list: tasks, events. May be lowered. */
  pageSize: 1000,
  /** Tasks of one page of the list that has them in brief. */
  briefsPage: 2_500,
  /** Tasks that may be named in one question for their attempts: an address has at most 8 KB. */
  namedTasks: 50,
  /** Bytes of the events of one page, as JSON. May be lowered; a page has one event at least. */
  eventPageBytes: 1024 * 1024,
  /** Lines of one page of a log, and of its end. May be lowered. */
  logPageLines: 5_000,
  /** Bytes of the text of one page of a log, as JSON. May be lowered; a page has one line at least. */
  logPageBytes: 2 * 1024 * 1024,
  /** Files of one page of what is in an artifact, unless asked for fewer, and characters of their paths. */
  artifactPage: 5_000,
  artifactPageCharacters: 1024 * 1024,
  /** Points of each series of a task's metrics, unless asked for more or fewer, and at most. */
  defaultMetricPoints: 200,
  metricPoints: 2_000,
  /** Seconds that a stream of events or log lines stays open: less than a Lambda runs. Its client resumes. May be lowered. */
  followSeconds: 14 * 60,
} as const;

/** The limits that an installation may set, as its functions keep to them. */
export interface ConfiguredLimits {
  tasksPerJob: number;
  jobsInFlight: number;
  requestBodyBytes: number;
  taskPage: number;
  eventPage: number;
  eventPageBytes: number;
  logPageLines: number;
  logPageBytes: number;
  followSeconds: number;
  imageDays: number;
  imageGigabytes: number;
}

/** The limits of an installation that sets none. */
export const defaultLimits: ConfiguredLimits = {
  tasksPerJob: limits.tasksPerJob,
  jobsInFlight: limits.jobsInFlight,
  requestBodyBytes: limits.requestBodyBytes,
  taskPage: limits.pageSize,
  eventPage: limits.pageSize,
  eventPageBytes: limits.eventPageBytes,
  logPageLines: limits.logPageLines,
  logPageBytes: limits.logPageBytes,
  followSeconds: limits.followSeconds,
  imageDays: limits.imageDays,
  imageGigabytes: limits.imageGigabytes,
};
