import { Link } from "@tanstack/react-router";
import type { Attempt } from "../../shared/api/schemas.ts";
import { formatBytes, formatDuration } from "../../shared/domain/format.ts";
import { Fact } from "../ui/fact.tsx";
import { Age, Span } from "../ui/time.tsx";

/** An attempt in numbers: when, how long, where, how it ended, what it used in all. */
export function AttemptFacts({ record, isLast }: { record: Attempt; isLast: boolean }) {
  const { claimedAt, endedAt, waitedMs, workerId, outcome } = record;
  return (
    <dl className="facts attempt-facts">
      <Fact name="started">
        <Age at={claimedAt} />
      </Fact>
      {waitedMs === undefined ? null : (
        <Fact name="waited" title="in the queue, until a worker took it">
          <span className="number">{formatDuration(waitedMs)}</span>
        </Fact>
      )}
      <Fact name="took">
        <Span fromMs={Date.parse(claimedAt)} toMs={endedAt ? Date.parse(endedAt) : undefined} />
      </Fact>
      {outcome?.exitCode === undefined ? null : (
        <Fact name="exit code">
          <span className="number">{outcome.exitCode}</span>
        </Fact>
      )}
      <Footprint record={record} />
      <Fact name="worker">
        <Link to="/workers/$worker" params={{ worker: workerId }} className="mono small">
          {workerId}
        </Link>
      </Fact>
      {outcome?.reason && !isLast ? (
        <div className="wide">
          <dt>{outcome.reason.code}</dt>
          <dd className="attempt-reason">{outcome.reason.detail}</dd>
        </div>
      ) : null}
    </dl>
  );
}

/** What it used in all; told when it ends, and not of what was over within a second. */
function Footprint({ record: { footprint } }: { record: Attempt }) {
  if (!footprint) return null;
  const { cpuAvg, cpuMax, memoryMax, readBytes, writtenBytes, receivedBytes, sentBytes, oomKills } = footprint;
  const percent = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
  return (
    <>
      <Fact name="CPU" title="of one core: on average, and at most">
        <span className="number">
          {percent(cpuAvg)} <span className="dim small">max {percent(cpuMax)}</span>
        </span>
      </Fact>
      <Fact name="memory" title="the most at once">
        <span className="number">{formatBytes(memoryMax)}</span>
        {oomKills > 0 ? <span className="bad small"> ✕ {oomKills} killed for lack of it</span> : null}
      </Fact>
      <Fact name="disk" title="read from disk, written to it">
        <Traffic down={readBytes} up={writtenBytes} />
      </Fact>
      <Fact name="network" title="received, sent">
        <Traffic down={receivedBytes} up={sentBytes} />
      </Fact>
    </>
  );
}

function Traffic({ down, up }: { down: number; up: number }) {
  return (
    <span className="number">
      <span className="dim">↓</span> {formatBytes(down)} <span className="dim">↑</span> {formatBytes(up)}
    </span>
  );
}
