import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import pLimit from "p-limit";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import {
  type Footprint,
  FootprintCounter,
  type MetricSample,
  parseSamples,
} from "../../shared/domain/metric-sample.ts";
import { metricsManifestKey, metricsPrefix } from "../../shared/domain/object-keys.ts";
import type { Logger } from "../../shared/log.ts";
import type { Deps } from "../deps.ts";

const decompress = promisify(zstdDecompress);

/** Snapshots that are fetched at the same time. */
const parallelReads = 8;

/** The samples of an attempt that are stored by now. */
export interface AttemptSamples {
  samples: MetricSample[];
  footprint: Footprint | undefined;
  /** Snapshots that are damaged, or in the form of another version: their samples are missing. */
  unreadable: number;
  /** Whoever took the attempt's place in storing them has said that these are all. */
  hasManifest: boolean;
}

/** Reads what is stored of an attempt's samples, in the order of time; of a running one those so far. */
export async function readSamples(
  { objects, log }: Pick<Deps, "objects" | "log">,
  attempt: { jobId: string; task: string; attempt: number },
): Promise<AttemptSamples> {
  const keys = await listKeys(objects, metricsPrefix(attempt.jobId, attempt.task, attempt.attempt));
  const manifestKey = metricsManifestKey(attempt.jobId, attempt.task, attempt.attempt);
  const limit = pLimit(parallelReads);
  const snapshots = await Promise.all(
    keys.filter((key) => key.endsWith(".zst")).map((key) => limit(() => readSnapshot(objects, log, key))),
  );
  // A worker's clock may be set back while it samples.
  const samples = snapshots.flatMap((found) => found ?? []).sort((a, b) => a.at - b.at);
  const unreadable = snapshots.filter((found) => found === undefined).length;
  const counter = new FootprintCounter();
  for (const sample of samples) counter.add(sample);
  return { samples, unreadable, footprint: counter.footprint, hasManifest: keys.includes(manifestKey) };
}

async function listKeys(objects: Pick<ObjectStore, "list">, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let more = true;
  while (more) {
    const startAfter = keys.at(-1);
    const page = await objects.list(prefix, startAfter === undefined ? {} : { startAfter });
    keys.push(...page.objects.map(({ key }) => key));
    more = page.more;
  }
  return keys;
}

/** Undefined where it cannot be read: the others are worth showing all the same. */
async function readSnapshot(
  objects: Pick<ObjectStore, "get">,
  log: Logger,
  key: string,
): Promise<MetricSample[] | undefined> {
  const stored = await objects.get(key);
  if (stored === undefined) return [];
  try {
    return parseSamples((await decompress(stored)).toString("utf8"));
  } catch (error) {
    log.error({ err: error, key }, "a snapshot of samples cannot be read; it is left out");
    return undefined;
  }
}
