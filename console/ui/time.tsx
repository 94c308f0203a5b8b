import { formatAge, formatDuration } from "../../shared/domain/format.ts";
import { useClock } from "../app/now.ts";

/** How long ago something was; the exact time on hover. */
export function Age({ at }: { at: string | number }) {
  const date = new Date(at);
  const text = useClock((nowMs) => formatAge(nowMs - date.getTime()));
  return (
    <time dateTime={date.toISOString()} title={formatExact(date)}>
      {text}
    </time>
  );
}

/** A span of time; without an end it goes on. */
export function Span({ fromMs, toMs }: { fromMs: number; toMs?: number | undefined }) {
  const text = useClock((nowMs) => formatDuration((toMs ?? nowMs) - fromMs));
  return (
    <span
      className="number"
      title={`${formatExact(new Date(fromMs))}${toMs ? ` – ${formatExact(new Date(toMs))}` : ""}`}
    >
      {text}
    </span>
  );
}

/** A moment to the second, in the time zone of who looks. */
export function formatExact(date: Date): string {
  // Swedish writes dates as ISO 8601 does.
  return `${date.toLocaleString("sv-SE")} (${date.toISOString()})`;
}
