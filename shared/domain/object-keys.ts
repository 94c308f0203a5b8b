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

/** Key of the list of what is in an attempt's artifact. */
export function artifactListKey(jobId: string, task: string, attempt: number): string {
  return `${attemptPrefix(jobId, task, attempt)}artifact.list.zst`;
}

/** Prefix of the metric snapshots of an attempt, and of their manifest. */
export function metricsPrefix(jobId: string, task: string, attempt: number): string {
  return `${attemptPrefix(jobId, task, attempt)}metrics/`;
}

/** Key of a metric snapshot, counted from 1; keys sort in the order of time. */
export function snapshotKey(jobId: string, task: string, attempt: number, sequence: number): string {
  return `${metricsPrefix(jobId, task, attempt)}${padSequence(sequence)}.zst`;
}

/** Key of the list of an attempt's metric snapshots, where its own manifest could not be written. */
export function metricsManifestKey(jobId: string, task: string, attempt: number): string {
  return `${metricsPrefix(jobId, task, attempt)}manifest.json`;
}

/** Key of what a running attempt had written when somebody asked for it. */
export function liveArtifactKey(jobId: string, task: string, attempt: number, id: string): string {
  return `${attemptPrefix(jobId, task, attempt)}live/${id}.tar.zst`;
}

/** Key of what its worker says about that: written after it. */
export function liveReportKey(jobId: string, task: string, attempt: number, id: string): string {
  return `${attemptPrefix(jobId, task, attempt)}live/${id}.json`;
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

/**
 * What the name of a log chunk says: which lines of its log it holds, and which bytes of the text (uncompressed, without
 * the times). A joined chunk repeats the small ones from `sequence` to `lastSequence` in one object.
 */
export interface LogChunkName {
  /** 0-based position of the chunk. */
  sequence: number;
  /** The same as `sequence`, but in a joined chunk. */
  lastSequence: number;
  firstLine: number;
  lines: number;
  firstByte: number;
  bytes: number;
  /** Time of its first line, in milliseconds since the epoch. */
  firstAtMs: number;
}

/**
 * Name of a log chunk; names sort in the order of the log, a joined chunk right before the first one that it repeats
 * (`+` sorts before `.`). A reader finds any line, byte or time by listing names only.
 */
export function formatLogChunkName(chunk: LogChunkName): string {
  const { sequence, lastSequence, firstLine, lines, firstByte, bytes, firstAtMs } = chunk;
  const joined = lastSequence === sequence ? "" : `+${padSequence(lastSequence)}`;
  return `${padSequence(sequence)}${joined}.${firstLine}.${lines}.${firstByte}.${bytes}.${firstAtMs}.zst`;
}

/** A chunk's position as names begin with it: what sorts before this text sorts before the names of the chunk. */
export function padSequence(sequence: number): string {
  return String(sequence).padStart(8, "0");
}

/** The parts of a log chunk's name (the last part of its key), or undefined where it is none. */
export function parseLogChunkName(name: string): LogChunkName | undefined {
  const match = /^(\d{8})(?:\+(\d{8}))?\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.zst$/.exec(name);
  if (!match) return undefined;
  const [sequence = 0, lastSequence = 0, firstLine = 0, lines = 0, firstByte = 0, bytes = 0, firstAtMs = 0] = match
    .slice(1)
    .map((part) => Number(part ?? match[1]));
  return { sequence, lastSequence, firstLine, lines, firstByte, bytes, firstAtMs };
}

/**
 * Key of a blob of shipped images, compressed with zstd, by the digest (`sha256:<hex>`) of what it was compressed from:
 * an image's configuration, whose digest is the image's id, or the archive of one of its layers. A blob that was removed
 * and is shipped again gets another `nonce`: a removal that comes late can only meet what it was meant for.
 */
export function imageBlobKey(digest: string, nonce: string): string {
  return `${objectPrefixes.images}${digest.replace(":", "-")}/${nonce}.zst`;
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
