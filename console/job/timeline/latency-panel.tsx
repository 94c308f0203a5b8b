import { formatDuration, formatNumber, plural } from "../../../shared/domain/format.ts";
import { ScrollRegion } from "../../ui/scroll-region.tsx";
import type { Bar } from "./bars.ts";
import { bounds, type Distribution, measurePhases, type Phase, phases } from "./latency.ts";

const labels: Readonly<Record<Phase, string>> = {
  queue: "in the queue",
  lease: "getting ready: images, services",
  run: "running steps",
  upload: "storing output",
};

/** How long attempts waited, got ready, ran and stored: where the time went before, and after, the work itself. */
export function LatencyPanel({ bars }: { bars: readonly Bar[] }) {
  const measured = measurePhases(bars);
  return (
    <section className="panel" aria-labelledby="latency-title">
      <h2 id="latency-title">How long it took</h2>
      <ScrollRegion className="lanes-scroll" label="How long each phase took">
        <table className="table latency-table">
          <thead>
            <tr>
              <th scope="col">phase</th>
              <th scope="col" className="right">
                half within
              </th>
              <th scope="col" className="right">
                95 % within
              </th>
              <th scope="col" className="right">
                longest
              </th>
              <th scope="col">
                distribution <span className="dim">(0.1 s … 1,000 s)</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {phases.map((phase) => (
              <tr key={phase}>
                <th scope="row">{labels[phase]}</th>
                <Times distribution={measured[phase]} />
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </section>
  );
}

function Times({ distribution }: { distribution: Distribution | undefined }) {
  if (!distribution) {
    return (
      <td colSpan={4} className="dim">
        known once an attempt has ended
      </td>
    );
  }
  const { p50, p95, max } = distribution;
  return (
    <>
      {[p50, p95, max].map((ms, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: these are three columns
        <td key={index} className="right number">
          {formatDuration(ms)}
        </td>
      ))}
      <td>
        <Histogram distribution={distribution} />
      </td>
    </>
  );
}

const barWidth = 14;
const height = 26;

function Histogram({ distribution: { buckets, count } }: { distribution: Distribution }) {
  const most = Math.max(...buckets);
  const text = buckets
    .flatMap((held, index) => (held === 0 ? [] : [`${formatNumber(held)} ${nameBucket(index)}`]))
    .join(", ");
  return (
    <svg className="histogram" width={buckets.length * barWidth} height={height} role="img" aria-label={text}>
      <title>{`Of ${plural(count, "attempt")}: ${text}`}</title>
      {buckets.map((held, index) => {
        // A single one among thousands is still there.
        const high = held === 0 ? 1 : Math.max(2, (held / most) * (height - 1));
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a bucket is its place
            key={index}
            x={index * barWidth}
            y={height - high}
            width={barWidth - 2}
            height={high}
            className={held === 0 ? "histogram-none" : "histogram-bar"}
          />
        );
      })}
    </svg>
  );
}

function nameBucket(index: number): string {
  const seconds = (bound: number | undefined) => `${formatNumber((bound ?? 0) / 1000)} s`;
  if (index === bounds.length) return `${seconds(bounds.at(-1))} or longer`;
  return index === 0
    ? `under ${seconds(bounds[0])}`
    : `from ${seconds(bounds[index - 1])} to ${seconds(bounds[index])}`;
}
