/** Where things are in the bucket. Every key of an attempt holds job, task and attempt: no two attempts share one. */
export const objectPrefixes = { jobs: "jobs/", images: "images/" } as const;

/** Prefix of everything one attempt leaves behind. */
export function attemptPrefix(jobId: string, task: string, attempt: number): string {
  return `${objectPrefixes.jobs}${jobId}/${task}/${String(attempt).padStart(4, "0")}/`;
}

/** Key of the manifest that commits an attempt. */
export function manifestKey(jobId: string, task: string, attempt: number): string {
  return `${attemptPrefix(jobId, task, attempt)}result.json`;
}

/** Key of an attempt's artifact. */
export function artifactKey(jobId: string, task: string, attempt: number): string {
  return `${attemptPrefix(jobId, task, attempt)}artifact.tar.zst`;
}

/** Prefix of the logs of an attempt: a folder for each step or service that wrote something. */
export function attemptLogPrefix(jobId: string, task: string, attempt: number): string {
  return `${attemptPrefix(jobId, task, attempt)}logs/`;
}

/** Prefix of the log chunks of one step (1-based). */
export function stepLogPrefix(jobId: string, task: string, attempt: number, step: number): string {
  return `${attemptLogPrefix(jobId, task, attempt)}${formatStepFolder(step)}/`;
}

function formatStepFolder(step: number): string {
  return `step-${String(step).padStart(3, "0")}`;
}

/** The step (1-based) whose log a folder of an attempt's logs holds, or undefined where it is none. */
export function parseStepFolder(folder: string): number | undefined {
  const digits = /^step-(\d+)$/.exec(folder)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Prefix of the log chunks of one service. */
export function serviceLogPrefix(jobId: string, task: string, attempt: number, service: string): string {
  return `${attemptLogPrefix(jobId, task, attempt)}service-${service}/`;
}

/** What the name of a log chunk says: which lines and bytes (uncompressed) of its log it holds. */
export interface LogChunkName {
  /** 0-based position of the chunk. */
  sequence: number;
  firstLine: number;
  lines: number;
  firstByte: number;
  bytes: number;
}

/** Name of a log chunk; names sort in the order of the log. A reader finds any line or byte by listing names only. */
export function formatLogChunkName(chunk: LogChunkName): string {
  const sequence = String(chunk.sequence).padStart(8, "0");
  return `${sequence}.${chunk.firstLine}.${chunk.lines}.${chunk.firstByte}.${chunk.bytes}.zst`;
}

/** The parts of a log chunk's name (the last part of its key), or undefined where it is none. */
export function parseLogChunkName(name: string): LogChunkName | undefined {
  const match = /^(\d{8})\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.zst$/.exec(name);
  if (!match) return undefined;
  const [sequence, firstLine, lines, firstByte, bytes] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { sequence, firstLine, lines, firstByte, bytes };
}

/**
 * Key of a blob of shipped images, compressed with zstd, by the digest (`sha256:<hex>`) of what it was compressed from:
 * an image's configuration, whose digest is the image's id, or the archive of one of its layers.
 */
export function imageBlobKey(digest: string): string {
  return `${objectPrefixes.images}${digest.replace(":", "-")}.zst`;
}

/** Key of the task list of a job that is expanded after the submit was answered. */
export function taskListKey(jobId: string): string {
  return `${objectPrefixes.jobs}${jobId}/tasks.json`;
}

/** Key of the list of tasks that a retry is about; `nonce` names the retry. */
export function retryListKey(jobId: string, nonce: string): string {
  return `${objectPrefixes.jobs}${jobId}/retries/${nonce}.json`;
}

/** Key of a job's graph: the needs of each of its tasks that has any. */
export function graphKey(jobId: string): string {
  return `${objectPrefixes.jobs}${jobId}/graph.json`;
}
