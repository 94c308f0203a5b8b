import type { QueueDepth } from "../../shared/api/overview-schemas.ts";
import { formatDuration, formatNumber, plural } from "../../shared/domain/format.ts";
import { useNow } from "../app/now.ts";
import { Span } from "../ui/time.tsx";
import { Nothing } from "./live-panel.tsx";
import { drawTrack, measureTrack, type Track } from "./track.ts";

/** What waits in the queue of each pool, and how that was while the page was open. */
export function QueueTable({
  queues,
  waiting,
}: {
  queues: readonly QueueDepth[];
  waiting: ReadonlyMap<string, Track>;
}) {
  if (queues.length === 0) return <Nothing>No pool has a queue.</Nothing>;
  return (
    <table className="table queue-table">
      <thead>
        <tr>
          <th scope="col">Pool</th>
          <th scope="col" className="right" colSpan={2}>
            Waiting
          </th>
          <th scope="col" className="right">
            In flight
          </th>
          <th scope="col" className="right">
            Delayed
          </th>
          <th scope="col" className="right">
            Oldest
          </th>
          <th scope="col" className="right">
            Dead letters
          </th>
        </tr>
      </thead>
      <tbody>
        {queues.map((queue) => (
          <QueueRow key={queue.pool} queue={queue} track={waiting.get(queue.pool) ?? []} />
        ))}
      </tbody>
    </table>
  );
}

function QueueRow({ queue, track }: { queue: QueueDepth; track: Track }) {
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
        <Sparkline track={track} />
      </td>
      <td className="right number">
        <strong>{count(visible)}</strong>
      </td>
      <td className="right number">{count(inFlight)}</td>
      <td className="right number">{count(delayed)}</td>
      <td className="right">
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
/** The line moves by less than a pixel in between. */
const stepMs = 5_000;

function Sparkline({ track }: { track: Track }) {
  const now = useNow();
  const nowMs = Math.max(Math.ceil(now / stepMs) * stepMs, track.at(-1)?.atMs ?? 0);
  const range = measureTrack(track, nowMs);
  if (!range) return null;
  const { min, max, fromMs } = range;
  const label = `Waiting in the last ${formatDuration(nowMs - fromMs)}: ${formatNumber(min)} to ${plural(max, "message")}`;
  return (
    <svg className="spark" viewBox={`0 0 ${widthPx} ${heightPx}`} width={widthPx} height={heightPx} role="img">
      <title>{label}</title>
      <path d={`M0 ${heightPx - 0.5}H${widthPx}`} className="spark-foot" />
      <path d={drawTrack(track, { nowMs, width: widthPx, height: heightPx - 2, max })} className="spark-line" />
    </svg>
  );
}
