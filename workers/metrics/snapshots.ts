import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { MetricsManifest } from "../../shared/domain/manifest.ts";
import {
  type Footprint,
  formatSamples,
  type MetricSample,
  type MetricSnapshot,
} from "../../shared/domain/metric-sample.ts";
import { metricsManifestKey, snapshotKey } from "../../shared/domain/object-keys.ts";
import { retryWithBackoff } from "../retry.ts";
import type { SpoolOwner } from "./spool-format.ts";

const compress = promisify(zstdCompress);

/** How long something is tried to be put, and what ends it sooner. */
export interface PutOptions {
  deadlineMs: number;
  signal: AbortSignal;
}

type Bucket = Pick<ObjectStore, "putIfAbsent">;

/**
 * Puts samples as the snapshot of a number, unless it is there: then an earlier try was not heard of, and what it put is
 * the same, because the number stands for these samples and no others.
 */
export async function putSnapshot(
  objects: Bucket,
  owner: SpoolOwner,
  sequence: number,
  samples: readonly MetricSample[],
  { deadlineMs, signal }: PutOptions,
): Promise<MetricSnapshot> {
  const snapshot = describeSnapshot(owner, sequence, samples);
  const { key } = snapshot;
  const body = await compress(formatSamples(samples));
  await retryWithBackoff(() => objects.putIfAbsent(key, body, "application/zstd", signal), {
    signal,
    maxElapsedMs: deadlineMs,
  });
  return snapshot;
}

/** A snapshot as a manifest lists it. */
export function describeSnapshot(
  { jobId, task, attempt }: SpoolOwner,
  sequence: number,
  samples: readonly MetricSample[],
): MetricSnapshot {
  const text = formatSamples(samples);
  return {
    key: snapshotKey(jobId, task, attempt, sequence),
    samples: samples.length,
    size: Buffer.byteLength(text),
    sha256: createHash("sha256").update(text).digest("hex"),
  };
}

/** Puts the list of snapshots of an attempt that has no manifest of its own: after all of them, and once. */
export async function putMetricsManifest(
  objects: Bucket,
  owner: SpoolOwner,
  snapshots: readonly MetricSnapshot[],
  footprint: Footprint | undefined,
  { deadlineMs, signal }: PutOptions,
): Promise<void> {
  const manifest: MetricsManifest = { v: 1, ...owner, ...(footprint && { footprint }), snapshots: [...snapshots] };
  const key = metricsManifestKey(owner.jobId, owner.task, owner.attempt);
  await retryWithBackoff(() => objects.putIfAbsent(key, JSON.stringify(manifest), "application/json", signal), {
    signal,
    maxElapsedMs: deadlineMs,
  });
}
