/** Something that was brought for tasks and may be brought again. */
export interface CacheItem {
  /** How it is called in logs. */
  what: string;
  bytes: number;
  lastUsedMs: number;
  /** A running task of this worker needs it. */
  isHeld: boolean;
  /** False where it could not go because something uses it. */
  remove: () => Promise<boolean>;
}

/** What may be kept, in bytes and milliseconds. */
export interface CacheLimits {
  maxBytes: number;
  maxAgeMs: number;
  /**
   * Nothing used within this time goes: a task of another worker on this machine may need it. Workers say more often than
   * that what theirs need.
   */
  minIdleMs: number;
}

/** What has to go: whatever is too old, then what was not used for longest until the rest is small enough. */
export function listExpired<Item extends Omit<CacheItem, "remove">>(
  items: readonly Item[],
  limits: CacheLimits,
  nowMs: number,
): Item[] {
  const idleMs = (item: Item) => nowMs - item.lastUsedMs;
  const removable = items
    .filter((item) => !item.isHeld && idleMs(item) >= limits.minIdleMs)
    .sort((a, b) => a.lastUsedMs - b.lastUsedMs);
  let bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  return removable.filter((item) => {
    if (idleMs(item) <= limits.maxAgeMs && bytes <= limits.maxBytes) return false;
    bytes -= item.bytes;
    return true;
  });
}
