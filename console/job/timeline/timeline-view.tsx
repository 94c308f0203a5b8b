import { memo, useMemo } from "react";
import { formatNumber, plural } from "../../../shared/domain/format.ts";
import { isTerminalJobState } from "../../../shared/domain/job-state.ts";
import { api } from "../../api/client.ts";
import type { JobFeed } from "../../api/job-feed.ts";
import { useNow } from "../../app/now.ts";
import { ErrorPanel } from "../../ui/error-panel.tsx";
import { Empty, Loading } from "../../ui/panel.tsx";
import { AttemptsFeed } from "./attempts-feed.ts";
import type { Bar } from "./bars.ts";
import { LaneTable } from "./lane-table.tsx";
import { packLanes } from "./lanes.ts";
import { LatencyPanel } from "./latency-panel.tsx";
import { TimelineChart } from "./timeline-chart.tsx";
import { useThrottled } from "./use-throttled.ts";
import "./timeline.css";

/** What is drawn here is slow to draw, and calm at this pace. */
const drawMs = 250;

/** When and where the attempts of a job ran: a lane for each worker, and how long the phases took. */
export const TimelineView = memo(function TimelineView({ feed }: { feed: JobFeed }) {
  const attempts = useMemo(() => new AttemptsFeed(api, feed), [feed]);
  useThrottled(attempts, drawMs);
  const bars = [...attempts.bars.values()];
  if (bars.length === 0) {
    if (attempts.error) {
      return <ErrorPanel title="The timeline could not be read" error={attempts.error} onRetry={attempts.resume} />;
    }
    if (!attempts.isWhole) return <Loading what="the timeline" />;
    return (
      <Empty title="Nothing has started yet">
        <p>Attempts appear here as soon as workers take tasks.</p>
      </Empty>
    );
  }
  return (
    <>
      {attempts.error ? (
        <ErrorPanel title="The timeline is out of date" error={attempts.error} onRetry={attempts.resume} />
      ) : null}
      <Charts feed={feed} bars={bars} isWhole={attempts.isWhole} />
    </>
  );
});

function Charts({ feed, bars, isWhole }: { feed: JobFeed; bars: readonly Bar[]; isWhole: boolean }) {
  const tickMs = useNow();
  const { view } = feed;
  if (!view) return null;
  const ended = isTerminalJobState(view.status);
  // The control plane's clock tells when things began: what has just begun by it must not lie in the future.
  const newestMs = bars.reduce((newest, { startMs, endMs }) => Math.max(newest, endMs ?? startMs), 0);
  const nowMs = ended ? newestMs : Math.max(tickMs, newestMs);
  const lanes = packLanes(bars, nowMs);
  const hint = isWhole ? undefined : `Reading attempts: ${formatNumber(bars.length)} so far`;
  const label = `${plural(bars.length, "attempt")} on ${plural(lanes.length, "worker")}`;
  return (
    <>
      <TimelineChart
        job={view.job}
        lanes={lanes}
        nowMs={nowMs}
        createdAtMs={view.createdAtMs}
        label={label}
        hint={hint}
      />
      <LatencyPanel bars={bars} />
      <LaneTable lanes={lanes} />
    </>
  );
}
