import { formatNumber } from "../../shared/domain/format.ts";
import type { TaskCounts } from "../../shared/domain/task-counts.ts";
import type { TaskState } from "../../shared/domain/task-state.ts";
import { nameMark } from "./state.tsx";

/** What has ended well first, what has not begun last. */
const order: readonly TaskState[] = [
  "completed",
  "skipped",
  "failed",
  "timed_out",
  "aborted",
  "running",
  "queued",
  "pending",
];

interface CountsBarProps {
  counts: TaskCounts;
  total: number;
  large?: boolean;
}

/** The tasks of a job by their states, as parts of a line. */
export function CountsBar({ counts, total, large = false }: CountsBarProps) {
  const parts = order.filter((state) => counts[state] > 0);
  const text = parts.map((state) => `${formatNumber(counts[state])} ${nameMark(state)}`).join(", ");
  let x = 0;
  return (
    <svg
      className={large ? "counts counts-large" : "counts"}
      viewBox="0 0 100 8"
      preserveAspectRatio="none"
      role="img"
      aria-label={text}
    >
      <title>{text}</title>
      {parts.map((state) => {
        const width = (100 * counts[state]) / Math.max(1, total);
        const part = <rect key={state} x={x} width={width} height="8" className={`state-${state}`} />;
        x += width;
        return part;
      })}
    </svg>
  );
}
