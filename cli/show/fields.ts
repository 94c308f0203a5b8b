import { formatLocalTime } from "../../shared/domain/format.ts";
import type { Style } from "../terminal/style.ts";
import { pad } from "../terminal/text.ts";

/** A name and what there is to say about it; nothing to say leaves the line out. */
export type Field = readonly [name: string, value: string | undefined];

/** Lines of `name  value`, the values aligned. */
export function renderFields(fields: readonly Field[], style: Style, indent = ""): string[] {
  const told = fields.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(0, ...told.map(([name]) => name.length));
  return told.map(([name, value]) => `${indent}${style("dim", pad(name, width))}  ${value}`);
}

/** A moment in the user's own time zone, with how long ago it was: `2026-03-01 14:05:09 (3 min ago)`. */
export function formatMoment(iso: string | undefined, describeAge: (agoMs: number) => string, nowMs: number) {
  if (iso === undefined) return undefined;
  return `${formatLocalTime(iso)} (${describeAge(nowMs - Date.parse(iso))})`;
}
