import { objectPrefixes } from "../domain/object-keys.ts";
import { retentionDays, retentionTag } from "../domain/retention.ts";

/**
 * What the bucket does by itself with the objects under one prefix, or with those of them that have a tag. Times in
 * days.
 */
export interface LifecycleRule {
  id: string;
  prefix: string;
  /** Parts of uploads that nobody finished are removed after so long. A task's upload takes hours at most. */
  abortUploadDays?: number;
  /** Objects are removed after so long; without it they stay until somebody removes them. */
  expireDays?: number;
  tag?: { key: string; value: string };
}

/** No job may ask for a longer retention (`jobRules.retentionMs`): what is left then was forgotten. */
const longestRetentionDays = 3_650;

/** What is to be kept for a time carries a tag that says so: artifacts of jobs with a retention, live snapshots. */
const retentionRules: readonly LifecycleRule[] = retentionDays.map((days) => ({
  id: `retention-${days}`,
  prefix: objectPrefixes.jobs,
  expireDays: days,
  tag: { key: retentionTag, value: String(days) },
}));

/** The bucket's lifecycle, a rule for each prefix. Images have no age here: the control plane knows which are in use. */
export const bucketLifecycle: readonly LifecycleRule[] = [
  ...Object.entries(objectPrefixes).map(([id, prefix]) => ({
    id,
    prefix,
    abortUploadDays: 7,
    ...(prefix === objectPrefixes.jobs ? { expireDays: longestRetentionDays } : {}),
  })),
  ...retentionRules,
];
