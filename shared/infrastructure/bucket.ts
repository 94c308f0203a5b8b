import { objectPrefixes } from "../domain/object-keys.ts";

/** What the bucket does by itself with the objects under one prefix, in days. */
export interface LifecycleRule {
  id: string;
  prefix: string;
  /** Parts of uploads that nobody finished are removed after so long. A task's upload takes hours at most. */
  abortUploadDays: number;
  /** Objects are removed after so long; without it they stay until somebody removes them. */
  expireDays?: number;
}

/** No job may ask for a longer retention (`jobRules.retentionMs`): what is left then was forgotten. */
const longestRetentionDays = 3_650;

/** The bucket's lifecycle, a rule for each prefix. Images have no age: any job may name an old one. */
export const bucketLifecycle: readonly LifecycleRule[] = Object.entries(objectPrefixes).map(([id, prefix]) => ({
  id,
  prefix,
  abortUploadDays: 7,
  ...(prefix === objectPrefixes.jobs ? { expireDays: longestRetentionDays } : {}),
}));
