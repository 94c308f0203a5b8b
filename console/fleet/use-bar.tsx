import "./fleet.css";

/** Green below 30 %, amber below 80 %, red above. */
function judgeUse(share: number): "low" | "some" | "high" {
  if (share < 0.3) return "low";
  return share < 0.8 ? "some" : "high";
}

interface UseBarProps {
  /** What it shows, in words: `5 of 16 slots used`. */
  label: string;
  used: number;
  total: number;
}

/** How much of something is used, as a line that is filled so far. */
export function UseBar({ label, used, total }: UseBarProps) {
  const share = total <= 0 ? 0 : Math.min(1, Math.max(0, used / total));
  return (
    <svg className="use-bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{label}</title>
      <rect width={100 * share} height="6" className={`use-${judgeUse(share)}`} />
    </svg>
  );
}

/** A share as a whole number of per cent; what is not nothing is never 0. */
export function formatShare(used: number, total: number): string {
  if (total <= 0 || used <= 0) return "0 %";
  return `${Math.max(1, Math.round((100 * used) / total))} %`;
}
