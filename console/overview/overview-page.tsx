import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Overview } from "../../shared/api/overview-schemas.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { OverviewFeed } from "../api/overview-feed.ts";
import { useLive } from "../api/use-live.ts";
import { useTitle } from "../app/title.ts";
import { FleetEventList } from "../fleet/fleet-event-list.tsx";
import { PoolCard } from "../fleet/pool-card.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { FailureList } from "./failure-list.tsx";
import { ActiveJobs, EndedJobs } from "./job-lists.tsx";
import { LivePanel, Nothing } from "./live-panel.tsx";
import { QueueTable } from "./queue-table.tsx";
import "./overview.css";

/** How everything is, as it changes: the page to leave open. */
export function OverviewPage() {
  useTitle("Overview");
  const feed = useLive(useMemo(() => new OverviewFeed(api), []));
  const { known, error } = feed;
  const hasSome = Object.keys(known).length > 0;
  return (
    <>
      <div className="page-head">
        <h1>Overview</h1>
        {feed.state === "stale" ? <span className="badge badge-stale">contact lost, trying again</span> : null}
      </div>
      {error && hasSome ? <ErrorPanel title="What follows is out of date" error={error} onRetry={feed.resume} /> : null}
      <div className="overview">
        <LivePanel feed={feed} part="pools" title="Pools" className="overview-pools">
          {(pools) => <Pools pools={pools} queues={known.queues} />}
        </LivePanel>
        <div className="overview-column">
          <LivePanel
            feed={feed}
            part="queues"
            title="Queues"
            aside={() => <span className="less">lines: up to 10 min, as seen here</span>}
          >
            {(queues) => <QueueTable queues={queues} waiting={feed.waiting} />}
          </LivePanel>
          <LivePanel feed={feed} part="jobs" title="Running now" aside={(jobs) => <ActiveCount jobs={jobs} />}>
            {({ active, ended }) => <ActiveJobs jobs={active} isFirst={ended.length === 0} />}
          </LivePanel>
          <LivePanel feed={feed} part="jobs" title="Ended lately" aside={() => <Link to="/jobs">All jobs</Link>}>
            {({ ended }) => <EndedJobs jobs={ended} />}
          </LivePanel>
        </div>
        <div className="overview-column">
          <LivePanel
            feed={feed}
            part="failures"
            title="Failures by reason"
            aside={({ jobs, more }) => `24 h, ${more ? "the newest " : ""}${plural(jobs, "job")}`}
          >
            {(failures) => <FailureList failures={failures} />}
          </LivePanel>
          <LivePanel feed={feed} part="events" title="Fleet">
            {(events) =>
              events.length === 0 ? (
                <Nothing>Nothing has happened to any worker yet.</Nothing>
              ) : (
                <FleetEventList events={events} withPool />
              )
            }
          </LivePanel>
        </div>
      </div>
    </>
  );
}

function Pools({ pools, queues }: { pools: NonNullable<Overview["pools"]>; queues: Overview["queues"] }) {
  if (pools.length === 0) return <Nothing>There is no pool yet: the first worker makes one.</Nothing>;
  const waiting = new Map(queues?.map(({ pool, visible }) => [pool, visible]));
  return (
    <ul className="cards pool-cards" aria-label="Pools">
      {pools.map((pool) => (
        <PoolCard key={pool.pool} pool={pool} waiting={waiting.get(pool.pool)} />
      ))}
    </ul>
  );
}

function ActiveCount({ jobs }: { jobs: NonNullable<Overview["jobs"]> }) {
  const { active, activeCount, more } = jobs;
  if (activeCount <= active.length && !more) return activeCount === 0 ? null : formatNumber(activeCount);
  return (
    <Link to="/jobs" search={{ status: "running" }}>
      the newest {formatNumber(active.length)} of {formatNumber(activeCount)}
      {more ? "+" : ""}
    </Link>
  );
}
