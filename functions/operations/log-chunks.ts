import type { ObjectStore } from "../../shared/clients/object-store.ts";
import {
  attemptLogPrefix,
  type LogChunkName,
  padSequence,
  parseLogChunkName,
  parseStepFolder,
  serviceLogPrefix,
  stepLogPrefix,
} from "../../shared/domain/object-keys.ts";

/** A piece of a log in the bucket; `step` is 0 in that of a service. */
export interface LogChunk extends LogChunkName {
  key: string;
  step: number;
}

/** Which logs of a task: all its steps, one of them, or one of its services. */
export interface LogChoice {
  step?: number | undefined;
  service?: string | undefined;
}

/** Where logs are. The attempt is part of a position. */
export interface LogSource extends LogChoice {
  jobId: string;
  task: string;
}

/** The log of one step or service of an attempt; `step` is 0 in that of a service. */
export interface OneLog {
  attempt: number;
  step: number;
}

/** The names of the chunks of a task's logs: they tell where everything is. */
export interface LogChunkIndex {
  /** One page of the chunks from a sequence number on: of this log, and of all later steps where no log was chosen. */
  list(from: OneLog & { sequence: number }): Promise<{ chunks: LogChunk[]; more: boolean }>;
  /** The last chunk of a log for which `isWanted` holds, which must hold for all chunks before it. */
  findLast(log: OneLog, isWanted: (chunk: LogChunk) => boolean): Promise<LogChunk | undefined>;
  /** The logs that were chosen and hold something, in order. */
  listLogs(attempt: number): Promise<OneLog[]>;
}

/** The index of what was chosen. */
export function createLogChunkIndex(objects: ObjectStore, source: LogSource): LogChunkIndex {
  const { jobId, task, step, service } = source;
  const prefixOf = (log: OneLog) =>
    service === undefined
      ? stepLogPrefix(jobId, task, log.attempt, log.step)
      : serviceLogPrefix(jobId, task, log.attempt, service);
  const listPage = async (prefix: string, log: OneLog, sequence: number) => {
    for (let startAfter = prefixOf(log) + padSequence(sequence); ; ) {
      const page = await objects.list(prefix, { startAfter });
      const chunks = dropRepeated(page.objects.flatMap(({ key }) => parseChunkKey(key) ?? []));
      const last = page.objects.at(-1);
      // A page of names that are none of a chunk is passed over: a reader would ask for it again and again.
      if (chunks.length > 0 || !page.more || last === undefined) return { chunks, more: page.more };
      startAfter = last.key;
    }
  };
  return {
    list: (from) => {
      const isChosen = step !== undefined || service !== undefined;
      const prefix = isChosen ? prefixOf(from) : `${attemptLogPrefix(jobId, task, from.attempt)}step-`;
      return listPage(prefix, from, from.sequence);
    },
    findLast: (log, isWanted) => findLast((sequence) => listPage(prefixOf(log), log, sequence), isWanted),
    listLogs: async (attempt) => {
      if (service !== undefined) return [{ attempt, step: 0 }];
      if (step !== undefined) return [{ attempt, step }];
      const folders = await objects.listFolders(attemptLogPrefix(jobId, task, attempt));
      return folders.flatMap((folder) => {
        const step = parseStepFolder(folder);
        return step === undefined ? [] : [{ attempt, step }];
      });
    },
  };
}

/** Pages of names from ever farther places until one is beyond what is wanted, then from halfway: few requests at any size. */
async function findLast(
  listPage: (sequence: number) => Promise<{ chunks: LogChunk[]; more: boolean }>,
  isWanted: (chunk: LogChunk) => boolean,
): Promise<LogChunk | undefined> {
  let found: LogChunk | undefined;
  let beyond = Number.POSITIVE_INFINITY;
  for (let at = 0, wantedEnd = 0; wantedEnd < beyond; ) {
    const { chunks, more } = await listPage(at);
    const last = chunks.findLast(isWanted);
    if (last === undefined) {
      beyond = at;
    } else {
      found = last;
      wantedEnd = last.lastSequence + 1;
      if (last !== chunks.at(-1) || !more) break;
    }
    at = beyond === Number.POSITIVE_INFINITY ? wantedEnd * 2 : Math.floor((wantedEnd + beyond) / 2);
  }
  return found;
}

function parseChunkKey(key: string): LogChunk | undefined {
  const match = /\/(?:step-(\d+)|service-[^/]+)\/([^/]+)$/.exec(key);
  const name = match?.[2] ? parseLogChunkName(match[2]) : undefined;
  return name && { ...name, key, step: Number(match?.[1] ?? 0) };
}

/** A joined chunk stands before those that it repeats, which are left out. */
function dropRepeated(chunks: readonly LogChunk[]): LogChunk[] {
  const kept: LogChunk[] = [];
  for (const chunk of chunks) {
    const before = kept.at(-1);
    if (before?.step !== chunk.step || chunk.sequence > before.lastSequence) kept.push(chunk);
  }
  return kept;
}
