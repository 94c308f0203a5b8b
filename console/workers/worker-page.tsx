import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import type { WorkerDetail } from "../../shared/api/overview-schemas.ts";
import { ApiError } from "../../shared/api-client/index.ts";
import { formatBytes, formatNumber, plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { useLive } from "../api/use-live.ts";
import { WorkerFeed } from "../api/worker-feed.ts";
import { useMay } from "../app/session.tsx";
import { useTitle } from "../app/title.ts";
import { FleetEventList } from "../fleet/fleet-event-list.tsx";
import { FleetPill } from "../fleet/marks.tsx";
import { formatShare, UseBar } from "../fleet/use-bar.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Fact } from "../ui/fact.tsx";
import { Empty, Loading, Panel } from "../ui/panel.tsx";
import { StateIcon } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";
import { DrainButton } from "./drain-button.tsx";
import { isHere } from "./filter-workers.ts";
import { WorkerNotes } from "./worker-notes.tsx";
import "./workers.css";

const route = getRouteApi("/workers/$worker");

/** One worker: what it is, how it is, what it holds and what happened to it. */
export function WorkerPage() {
  const { worker: workerId } = route.useParams();
  const feed = useLive(useMemo(() => new WorkerFeed(api, workerId), [workerId]));
  const mayAct = useMay("operator");
  const { detail, error } = feed;
  useTitle(detail ? `${detail.host} ${detail.state}` : "Worker");
  if (!detail) {
    if (!error) return <Loading what={workerId} />;
    if (error instanceof ApiError && error.status === 404) return <NoWorker workerId={workerId} />;
    return <ErrorPanel title="The worker could not be read" error={error} onRetry={feed.resume} />;
  }
  return (
    <>
      <div className="page-head">
        <h1>{detail.host}</h1>
        <FleetPill state={detail.state} />
        {feed.state === "stale" ? <span className="badge badge-stale">contact lost, trying again</span> : null}
        {feed.isForgotten ? <span className="badge">its record was removed</span> : null}
        <span className="grow" />
        {mayAct ? <DrainButton worker={detail} /> : null}
      </div>
      {error ? <ErrorPanel title="What follows is out of date" error={error} onRetry={feed.resume} /> : null}
      <div className="worker-notes">
        <WorkerNotes worker={detail} />
      </div>
      <div className="worker-panels">
        <Panel title="Machine">
          <Facts detail={detail} />
        </Panel>
        <Panel title={isHere(detail) ? "Use" : "Use, as it told last"}>
          <Use detail={detail} />
        </Panel>
      </div>
      <Panel title="Tasks it holds" aside={<span className="dim number">{formatNumber(detail.held)}</span>}>
        <HeldTasks detail={detail} />
      </Panel>
      <Panel title="What happened to it">
        {detail.events.length === 0 ? (
          <p className="dim">Nothing that is still on record.</p>
        ) : (
          <FleetEventList events={detail.events} withPool={false} />
        )}
      </Panel>
    </>
  );
}

function NoWorker({ workerId }: { workerId: string }) {
  return (
    <Empty title="There is no such worker">
      <p className="mono">{workerId}</p>
      <p>Records of workers that have ended are kept for a while only.</p>
      <p>
        <Link to="/workers">All workers</Link>
      </p>
    </Empty>
  );
}

function Facts({ detail }: { detail: WorkerDetail }) {
  const { instanceId, instanceType, imageDigest, build, provider, health } = detail;
  return (
    <dl className="pairs">
      <Fact name="pool">
        <Link to="/workers" search={{ pool: detail.pool }}>
          {detail.pool}
        </Link>
      </Fact>
      <Fact name="provider">{[provider, instanceType].filter(Boolean).join(", ")}</Fact>
      {instanceId === undefined ? null : (
        <Fact name="instance">
          <span className="mono">{instanceId}</span>
        </Fact>
      )}
      {imageDigest === undefined ? null : (
        <Fact name="image">
          <span className="mono">{imageDigest}</span>
        </Fact>
      )}
      <Fact name="version">
        {detail.version}
        {build === undefined ? null : <span className="dim mono"> {build}</span>}
      </Fact>
      <Fact name="started">
        <Age at={detail.startedAt} />
      </Fact>
      <Fact name={isHere(detail) ? "last seen" : "last heard of"}>
        <Age at={detail.lastSeenAt} />
      </Fact>
      <Fact name="health">{health ? health.state.replaceAll("_", " ") : "not told"}</Fact>
      <Fact name="id">
        <span className="mono">{detail.workerId}</span>
      </Fact>
    </dl>
  );
}

function Use({ detail }: { detail: WorkerDetail }) {
  const { slots, slotsFree, use } = detail;
  return (
    <div className="gauges">
      <Gauge name="slots" used={slots - slotsFree} total={slots}>
        {formatNumber(slots - slotsFree)} of {plural(slots, "slot")}
      </Gauge>
      {use ? (
        <>
          <Gauge name="cpu" used={use.cpu} total={1}>
            {formatShare(use.cpu, 1)}
          </Gauge>
          <Gauge name="memory" used={use.memoryBytes.used} total={use.memoryBytes.total}>
            {formatBytes(use.memoryBytes.used)} of {formatBytes(use.memoryBytes.total)}
          </Gauge>
          <Gauge name="disk" used={use.diskBytes.total - use.diskBytes.free} total={use.diskBytes.total}>
            {formatBytes(use.diskBytes.free)} free of {formatBytes(use.diskBytes.total)}
          </Gauge>
        </>
      ) : (
        <p className="dim">It has not told yet how busy its machine is.</p>
      )}
    </div>
  );
}

function Gauge(props: { name: string; used: number; total: number; children: ReactNode }) {
  const { name, used, total, children } = props;
  return (
    <div className="gauge">
      <span className="dim">{name}</span>
      <UseBar label={`${name}: ${formatShare(used, total)} used`} used={used} total={total} />
      <span className="number right">{children}</span>
    </div>
  );
}

function HeldTasks({ detail }: { detail: WorkerDetail }) {
  const { tasks, held } = detail;
  if (tasks.length === 0) return <p className="dim">{isHere(detail) ? "None now." : "None."}</p>;
  return (
    <>
      <table className="table held-table">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Job</th>
            <th scope="col" className="right">
              Attempt
            </th>
            <th scope="col" className="right">
              Held for
            </th>
          </tr>
        </thead>
        <tbody>
          {tasks.map(({ job, task, attempt, claimedAt, status }) => (
            <tr key={`${job}/${task}`}>
              <td className="cut">
                <span className={`state-${status}`}>
                  <StateIcon mark={status} />
                </span>{" "}
                <Link to="/jobs/$job/tasks/$task" params={{ job, task }} data-row>
                  {task}
                </Link>
              </td>
              <td className="cut">
                <Link to="/jobs/$job" params={{ job }} className="mono" title={job}>
                  {job.slice(-26)}
                </Link>
              </td>
              <td className="right number">{attempt}</td>
              <td className="right">
                <Span fromMs={Date.parse(claimedAt)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {tasks.length < held ? (
        <p className="dim">{formatNumber(held - tasks.length)} more are not listed here.</p>
      ) : null}
    </>
  );
}
