/** Limits of what users may send. Each is checked where it enters, with an error that names it. */
export const limits = {
  /** Tasks of one job. */
  tasksPerJob: 10_000,
  /** Bytes of a request body. A Lambda takes 6 MB with the body as a JSON text, in which each quote counts twice. */
  requestBodyBytes: 4 * 1024 * 1024,
  /** Bytes of one task as JSON: its item (400 KB) also keeps what all its attempts have to tell. */
  taskBytes: 128 * 1024,
  /** Bytes of a job's spec without its tasks: it is one DynamoDB item (400 KB). */
  jobSpecBytes: 256 * 1024,
  /** Characters of an Idempotency-Key. */
  idempotencyKeyLength: 128,
  /** Messages a worker may claim in one call: what one SQS receive returns. */
  claimsPerCall: 10,
  /** Results of attempts that a worker may report in one call. */
  resultsPerCall: 10,
  /** Items of one page of a list. */
  pageSize: 1000,
} as const;
