/** Tag of an object that the bucket removes by itself: after how many days. */
export const retentionTag = "sluice-retention-days";

const dayMs = 24 * 3_600_000;

/**
 * The days after which the bucket can remove an object. A bucket has few rules, so there are few of these: what has to be
 * kept for another time is kept for the next longer one.
 */
export const retentionDays: readonly number[] = [1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365, 730, 1_825, 3_650];

/** After how many days the bucket may remove what is to be kept for a time; undefined for times that no rule covers. */
export function findRetentionDays(keepMs: number): number | undefined {
  return retentionDays.find((days) => days * dayMs >= keepMs);
}

/** The tags of an object that is to be kept for a time. */
export function retentionTags(keepMs: number | undefined): Record<string, string> {
  const days = keepMs === undefined ? undefined : findRetentionDays(keepMs);
  return days === undefined ? {} : { [retentionTag]: String(days) };
}
