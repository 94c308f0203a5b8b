import { readFile, rm, stat } from "node:fs/promises";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { FootprintCounter, type MetricSample } from "../../shared/domain/metric-sample.ts";
import { hasCode } from "../../shared/error-code.ts";
import type { Logger } from "../../shared/log.ts";
import { messageOf } from "../retry.ts";
import { describeSnapshot, type PutOptions, putMetricsManifest, putSnapshot } from "./snapshots.ts";
import { listSpoolsAside } from "./spool-files.ts";
import { readRecords, type SpoolOwner, type SpoolRecord } from "./spool-format.ts";

const putDeadlineMs = 30_000;
/** What could not be put for so long has no bucket any more. */
const keptMs = 7 * 86_400_000;

/** What a spool comes to: its samples as the snapshots they belong to. */
export interface ReplayedSpool {
  owner: SpoolOwner;
  snapshots: { sequence: number; samples: MetricSample[]; isStored: boolean }[];
}

/**
 * Replays the records of a spool. The same records always come to the same snapshots, whoever replays them and however
 * often; samples that were in none yet are one more. Undefined where not even its owner can be read.
 */
export function replaySpool(records: readonly SpoolRecord[]): ReplayedSpool | undefined {
  const [first, ...rest] = records;
  if (first?.kind !== "owner") return undefined;
  const snapshots: ReplayedSpool["snapshots"] = [];
  let fresh: MetricSample[] = [];
  for (const record of rest) {
    if (record.kind === "sample") fresh.push(record.sample);
    if (record.kind === "cut") {
      snapshots.push({ sequence: record.sequence, samples: fresh.slice(0, record.samples), isStored: false });
      fresh = fresh.slice(record.samples);
    }
    const last = snapshots.at(-1);
    if (record.kind === "stored" && last?.sequence === record.sequence) last.isStored = true;
  }
  if (fresh.length > 0) snapshots.push({ sequence: snapshots.length + 1, samples: fresh, isStored: false });
  return { owner: first.owner, snapshots };
}

/** Puts what a spool held under the keys of its attempt, with a manifest last; nothing that is there is written again. */
export async function storeReplayed(
  { owner, snapshots }: ReplayedSpool,
  objects: Pick<ObjectStore, "putIfAbsent">,
  options: PutOptions,
): Promise<void> {
  if (snapshots.length === 0) return;
  const footprint = new FootprintCounter();
  const listed = await Promise.all(
    snapshots.map(({ sequence, samples, isStored }) => {
      for (const sample of samples) footprint.add(sample);
      return isStored
        ? describeSnapshot(owner, sequence, samples)
        : putSnapshot(objects, owner, sequence, samples, options);
    }),
  );
  await putMetricsManifest(objects, owner, listed, footprint.footprint, options);
}

/**
 * Adopts all spools that were set aside on this machine. Any worker may, also two at once: what they put is the same.
 * One that cannot be put now is left for the next time. Never throws.
 */
export async function adoptSpools(
  workDir: string,
  objects: Pick<ObjectStore, "putIfAbsent">,
  { signal, log }: { signal: AbortSignal; log: Logger },
): Promise<void> {
  try {
    for (const path of await listSpoolsAside(workDir)) {
      if (signal.aborted) return;
      await adoptOne(path, objects, signal, log);
    }
  } catch (error) {
    log.error({ err: error }, "samples of dead workers could not be looked for");
  }
}

async function adoptOne(
  path: string,
  objects: Pick<ObjectStore, "putIfAbsent">,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  try {
    const replayed = replaySpool(readRecords(await readFile(path)));
    if (replayed !== undefined) await storeReplayed(replayed, objects, { deadlineMs: putDeadlineMs, signal });
    await rm(path, { force: true });
    log.info({ path, ...replayed?.owner }, "stored the samples of a dead worker");
  } catch (error) {
    // Another worker was faster.
    if (hasCode(error, "ENOENT")) return;
    log.warn({ path, reason: messageOf(error) }, "samples of a dead worker could not be stored yet");
    await removeIfOld(path);
  }
}

async function removeIfOld(path: string): Promise<void> {
  try {
    if (Date.now() - (await stat(path)).mtimeMs > keptMs) await rm(path, { force: true });
  } catch (error) {
    // Another worker has stored it meanwhile.
    if (!hasCode(error, "ENOENT")) throw error;
  }
}
