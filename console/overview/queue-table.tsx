import type { QueueDepth } from "../../shared/api/overview-schemas.ts";
import { formatDuration, formatNumber, plural } from "../../shared/domain/format.ts";
import { useNow } from "../app/now.ts";
import { Span } from "../ui/time.tsx";
import { Nothing } from "./live-panel.tsx";
import { drawTrack, measureTrack, spanTracks, type Track } from "./track.ts";

/** What waits in the queue of each pool, and how that was while the page was open. */
export function QueueTable({
  queues,
  waiting,
}: {
  queues: readonly QueueDepth[];
  waiting: ReadonlyMap<string, Track>;
}) {
  const spanMs = spanTracks(waiting.values(), useNow());
  if (queues.length === 0) return <Nothing>No pool has a queue.</Nothing>;
  return (
    <table className="table queue-table">
      <thead>
        <tr>
          <th scope="col">Pool</th>
          <th scope="col" className="spark-cell">
            <span className="hidden">Waiting lately</span>
          </th>
          <th scope="col" className="right">
            Waiting
          </th>
          <th scope="col" className="right less">
            In flight
          </th>
          <th scope="col" className="right less">
            Delayed
          </th>
          <th scope="col" className="right queue-oldest">
            Oldest
          </th>
          <th scope="col" className="right queue-dead">
            Dead letters
          </th>
        </tr>
      </thead>
      <tbody>
        {queues.map((queue) => (
          <QueueRow key={queue.pool} queue={queue} track={waiting.get(queue.pool) ?? []} spanMs={spanMs} />
        ))}
      </tbody>
    </table>
  );
}

function QueueRow({ queue, track, spanMs }: { queue: QueueDepth; track: Track; spanMs: number }) {
  const { pool, visible, inFlight, delayed, oldestQueuedAt, deadLetters, error } = queue;
  if (error !== undefined) {
    return (
      <tr>
        <th scope="row" className="cut">
          {pool}
        </th>
        <td colSpan={6} className="bad">
          could not be asked: {error}
        </td>
      </tr>
    );
  }
  return (
    <tr>
      <th scope="row" className="cut" title={pool}>
        {pool}
      </th>
      <td className="spark-cell">
        <Sparkline track={track} spanMs={spanMs} />
      </td>
      <td className="right number">
        <strong>{count(visible)}</strong>
      </td>
      <td className="right number less">{count(inFlight)}</td>
      <td className="right number less">{count(delayed)}</td>
      <td className="right number">
        {oldestQueuedAt === undefined ? <span className="dim">–</span> : <Span fromMs={Date.parse(oldestQueuedAt)} />}
      </td>
      <td className="right number">
        {deadLetters ? (
          <span className="bad">
            <span aria-hidden="true">▲ </span>
            {formatNumber(deadLetters)}
          </span>
        ) : (
          count(deadLetters)
        )}
      </td>
    </tr>
  );
}

function count(value: number | undefined) {
  if (value === undefined) return <span className="dim">–</span>;
  return value === 0 ? <span className="dim">0</span> : formatNumber(value);
}

const widthPx = 96;
const heightPx = 18;

function Sparkline({ track, spanMs }: { track: Track; spanMs: number }) {
  // What came since the clock went on is there already.
  const nowMs = Math.max(useNow(), track.at(-1)?.atMs ?? 0);
  const range = measureTrack(track, { nowMs, spanMs });
  if (!range) return null;
  const label = `Waiting in the last ${formatDuration(spanMs)}: ${formatNumber(range.min)} to ${plural(range.max, "message")}`;
  const box = { nowMs, spanMs, width: widthPx, height: heightPx - 2, max: range.max };
  return (
    <svg
      className="spark"
      viewBox={`0 -1 ${widthPx} ${heightPx}`}
      width={widthPx}
      height={heightPx}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      <path d={`M0 ${heightPx - 1.5}H${widthPx}`} className="spark-foot" />
      <path d={drawTrack(track, box)} className="spark-line" />
    </svg>
  );
}
