import type { ObjectStore } from "../../shared/clients/object-store.ts";
import {
  type Footprint,
  FootprintCounter,
  type HostUsage,
  type MetricSample,
  type MetricSnapshot,
  type UnitSample,
} from "../../shared/domain/metric-sample.ts";
import type { Logger } from "../../shared/log.ts";
import { messageOf, untilAborted } from "../retry.ts";
import { type PutOptions, putMetricsManifest, putSnapshot } from "./snapshots.ts";
import type { Spool } from "./spool.ts";
import type { SpoolOwner } from "./spool-format.ts";
import { sampleBetween, startUsage, type UsageAt, type UsageSource } from "./usage.ts";

/** Whose usage: a step's (1-based index) or a service's. */
export type UnitName = { step: number } | { service: string };

/** Something of an attempt whose usage is looked at until it has ended. */
export interface WatchedUnit {
  source: UsageSource;
  /** Settles when it has ended. `outOfMemory`: the kernel killed it, or something of it, for lack of memory. */
  ended: Promise<{ outOfMemory: boolean }>;
}

/** What is sampled as often at first, so that short tasks are told of, too. */
const youngMs = 5_000;
const youngIntervalMs = 1_000;
/** A snapshot takes at least so long, and at most a tenth of what the attempt has run: few, however long it runs. */
const shortestSnapshotMs = 30_000;
const longestSnapshotMs = 600_000;
const snapshotShare = 0.1;

export interface AttemptMetricsOptions {
  owner: SpoolOwner;
  spool: Spool;
  objects: Pick<ObjectStore, "putIfAbsent">;
  intervalMs: number;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  wallMs: () => number;
  log: Logger;
}

interface Unit extends WatchedUnit {
  name: UnitName;
  last: UsageAt;
  isSampled: boolean;
}

/** What has been kept of an attempt's samples. */
export interface KeptMetrics {
  footprint?: Footprint | undefined;
  metrics?: MetricSnapshot[] | undefined;
  /** What kept the last of them from being stored. */
  problem?: string;
}

/**
 * The samples of one attempt, on their way from what it runs to the bucket: spooled when they are taken, put as
 * snapshots from time to time. What is put last is only what no snapshot holds yet.
 */
export class AttemptMetrics {
  readonly #options: AttemptMetricsOptions;
  /** When the first of its steps and services started. */
  #startedAtMs: number | undefined;
  readonly #units = new Set<Unit>();
  readonly #footprint = new FootprintCounter();
  readonly #snapshots: MetricSnapshot[] = [];
  /** Samples that no snapshot holds, and those that belong to the one being put. */
  #fresh: MetricSample[] = [];
  #cut: { sequence: number; samples: MetricSample[] } | undefined;
  #lastSampleAtMs = 0;
  #lastCutAtMs = 0;
  #sampling = false;
  #ended = false;
  #putting: Promise<void> | undefined;

  constructor(options: AttemptMetricsOptions) {
    this.#options = options;
  }

  /** Looks at a step or a service that has just started, until it has ended. */
  watch(name: UnitName, { source, ended }: WatchedUnit): void {
    const startedAtMs = this.#options.nowMs();
    if (this.#startedAtMs === undefined) {
      this.#startedAtMs = startedAtMs;
      this.#lastSampleAtMs = startedAtMs;
      this.#lastCutAtMs = startedAtMs;
    }
    const unit = { name, source, ended, last: startUsage(startedAtMs), isSampled: false };
    this.#units.add(unit);
    ended
      // Whose end could not be told is over all the same.
      .catch(() => ({ outOfMemory: false }))
      .then(({ outOfMemory }) => {
        this.#units.delete(unit);
        if (outOfMemory) this.#noteOutOfMemory(unit);
      });
  }

  /** Takes a sample, if it is time for one. */
  async sampleIfDue(host: HostUsage | undefined): Promise<void> {
    if (this.#ended || this.#sampling || this.#units.size === 0 || !this.#isDue()) return;
    this.#sampling = true;
    try {
      this.#lastSampleAtMs = this.#options.nowMs();
      const samples = await Promise.all([...this.#units].map((unit) => sampleUnit(unit, this.#options.nowMs)));
      const units = samples.filter((sample) => sample !== undefined);
      if (units.length > 0) await this.#keep({ at: this.#options.wallMs(), units, ...(host && { host }) });
    } finally {
      this.#sampling = false;
    }
  }

  /** Puts a snapshot, if it is time for one and the one before is put. */
  async putIfDue(options: PutOptions): Promise<void> {
    const { nowMs, log } = this.#options;
    const age = nowMs() - (this.#startedAtMs ?? nowMs());
    const every = Math.min(longestSnapshotMs, Math.max(shortestSnapshotMs, age * snapshotShare));
    if (this.#ended || this.#putting !== undefined || nowMs() - this.#lastCutAtMs < every) return;
    try {
      await this.#putFresh(options);
    } catch (error) {
      log.warn(
        { reason: messageOf(error) },
        "samples of an attempt were not stored yet; they are kept and tried again",
      );
    }
  }

  /**
   * Ends the sampling and puts what no snapshot holds yet. What has not run for one interval leaves its footprint
   * only. Never throws: what cannot be put is missing.
   */
  async finish(options: PutOptions): Promise<KeptMetrics> {
    this.#ended = true;
    const { footprint } = this.#footprint;
    const { nowMs, intervalMs } = this.#options;
    const ranMs = nowMs() - (this.#startedAtMs ?? nowMs());
    const isWorthIt = this.#snapshots.length > 0 || (this.#fresh.length > 0 && ranMs >= intervalMs);
    const kept = { footprint, metrics: this.#snapshots };
    try {
      if (isWorthIt) await this.#putInTime(options);
      return this.#snapshots.length > 0 ? kept : { footprint };
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, "the last samples of an attempt could not be stored");
      return { ...kept, problem: `its last samples could not be stored: ${messageOf(error)}` };
    }
  }

  /** The attempt is committed: nothing of it is needed here any more, but what could not be put. */
  forget(): Promise<void> {
    const { spool } = this.#options;
    return this.#cut === undefined ? spool.remove() : spool.leave();
  }

  /** Ends an attempt that will not be committed, with a manifest for its samples. What is not put stays in the spool. */
  async abandon(options: PutOptions): Promise<void> {
    this.#ended = true;
    const { objects, owner, spool } = this.#options;
    try {
      await this.#putInTime(options);
      if (this.#snapshots.length > 0) {
        await putMetricsManifest(objects, owner, this.#snapshots, this.#footprint.footprint, options);
      }
      await spool.remove();
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, "samples of an attempt were left for the next worker here");
      await spool.leave();
    }
  }

  #isDue(): boolean {
    const { nowMs, intervalMs } = this.#options;
    const now = nowMs();
    const isYoung = now - (this.#startedAtMs ?? now) <= youngMs;
    const hasNew = [...this.#units].some(({ isSampled, last }) => !isSampled && now - last.atMs >= youngIntervalMs);
    return hasNew || now - this.#lastSampleAtMs >= (isYoung ? Math.min(youngIntervalMs, intervalMs) : intervalMs);
  }

  async #keep(sample: MetricSample): Promise<void> {
    // An end that came meanwhile has put all there was.
    if (this.#ended) return;
    this.#fresh.push(sample);
    this.#footprint.add(sample);
    await this.#options.spool.append({ kind: "sample", sample });
  }

  /** The kernel's count went with the cgroup: its last word is that the unit ended so. */
  #noteOutOfMemory(unit: Unit): void {
    if ((unit.last.usage.oomKills ?? 0) > 0) return;
    const told = { ...unit.name, ms: 0, cpu: 0, memory: unit.last.usage.memoryBytes, oomKills: 1 };
    void this.#keep({ at: this.#options.wallMs(), units: [told] });
  }

  /** Puts all that is left; a bucket or a disk that hangs, also under a put that began before, is waited for no longer. */
  async #putInTime(options: PutOptions): Promise<void> {
    await untilAborted(this.#putAll(options), options.signal);
    options.signal.throwIfAborted();
  }

  async #putAll(options: PutOptions): Promise<void> {
    await this.#putting?.catch(() => undefined);
    while (this.#cut !== undefined || this.#fresh.length > 0) await this.#putFresh(options);
  }

  #putFresh(options: PutOptions): Promise<void> {
    this.#putting ??= this.#putNext(options).finally(() => {
      this.#putting = undefined;
    });
    return this.#putting;
  }

  /** Cuts a snapshot from what is fresh, unless one is cut and not put yet, and puts it. */
  async #putNext(options: PutOptions): Promise<void> {
    const { spool, objects, owner, nowMs } = this.#options;
    this.#lastCutAtMs = nowMs();
    if (this.#cut === undefined) {
      if (this.#fresh.length === 0) return;
      this.#cut = { sequence: this.#snapshots.length + 1, samples: this.#fresh };
      this.#fresh = [];
      const { sequence, samples } = this.#cut;
      await spool.append({ kind: "cut", sequence, samples: samples.length }, { durable: true });
    }
    const { sequence, samples } = this.#cut;
    this.#snapshots.push(await putSnapshot(objects, owner, sequence, samples, options));
    this.#cut = undefined;
    // Not waited for on the disk: a put that is repeated changes nothing.
    await spool.append({ kind: "stored", sequence });
  }
}

async function sampleUnit(unit: Unit, nowMs: () => number): Promise<UnitSample | undefined> {
  const usage = await unit.source.read();
  if (usage === undefined) return undefined;
  const now = { atMs: nowMs(), usage };
  const sample = { ...unit.name, ...sampleBetween(unit.last, now) };
  unit.last = now;
  unit.isSampled = true;
  return sample;
}
