/** A whole number with thousands apart: `10,000`. */
export function formatNumber(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 task`, `3 tasks`. */
export function plural(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A span of time as people read it: `0.4 s`, `34 s`, `3 min 05 s`, `1 h 02 min`, `2 d 3 h`. */
export function formatDuration(spanMs: number): string {
  const ms = Math.max(0, spanMs);
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago something was: `just now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`. */
export function formatAge(agoMs: number): string {
  const seconds = Math.floor(Math.max(0, agoMs) / 1000);
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** A size in decimal units: `312 B`, `1.2 kB`, `34 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A moment in the user's own time zone: `2026-03-01 14:05:09`. */
export function formatLocalTime(iso: string): string {
  // Swedish writes dates as ISO 8601 does.
  return new Date(iso).toLocaleString("sv-SE");
}
