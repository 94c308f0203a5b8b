import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Worker } from "../../shared/api/schemas.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { workerStates } from "../../shared/domain/worker-state.ts";
import { api } from "../api/client.ts";
import { OverviewFeed } from "../api/overview-feed.ts";
import { useLive } from "../api/use-live.ts";
import { WorkersFeed } from "../api/workers-feed.ts";
import { useMay } from "../app/session.tsx";
import { useTitle } from "../app/title.ts";
import { FleetIcon, nameFleetMark } from "../fleet/marks.tsx";
import { PoolCard } from "../fleet/pool-card.tsx";
import { WorkerLink } from "../fleet/worker-link.tsx";
import { Button } from "../ui/button.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { FindField } from "../ui/find-field.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { Age } from "../ui/time.tsx";
import { filterWorkers, goneAt, isHere } from "./filter-workers.ts";
import { WorkerCard } from "./worker-card.tsx";
import "./workers.css";
import { Chips } from "../ui/state-chips.tsx";

const route = getRouteApi("/workers");
const poolParts = ["pools", "queues"] as const;
/** So few can be looked through without choosing among them. */
const fewWorkers = 6;
/** Of those that are gone so many are shown before somebody asks for all. */
const fewGone = 20;

/** Pools and their workers, as they change. */
export function WorkersPage() {
  useTitle("Workers");
  const pools = useLive(useMemo(() => new OverviewFeed(api, poolParts), []));
  const feed = useLive(useMemo(() => new WorkersFeed(api), []));
  const isStale = pools.state === "stale" || feed.state === "stale";
  return (
    <>
      <div className="page-head">
        <h1>Workers</h1>
        {isStale ? <span className="badge badge-stale">contact lost, trying again</span> : null}
      </div>
      {pools.error ? (
        <ErrorPanel title="The pools could not be read" error={pools.error} onRetry={pools.resume} />
      ) : null}
      <PoolCards feed={pools} />
      {feed.error ? (
        <ErrorPanel title="The workers could not be read" error={feed.error} onRetry={feed.resume} />
      ) : null}
      {feed.isWhole || feed.workers.length > 0 ? (
        <Workers workers={feed.workers} />
      ) : feed.error ? null : (
        <Loading what="workers" />
      )}
    </>
  );
}

function PoolCards({ feed }: { feed: OverviewFeed }) {
  const { pools, queues } = feed.known;
  if (!pools || pools.length === 0) return null;
  const waiting = new Map(queues?.map(({ pool, visible }) => [pool, visible]));
  return (
    <ul className="cards pool-cards" aria-label="Pools">
      {pools.map((pool) => (
        <PoolCard key={pool.pool} pool={pool} waiting={waiting.get(pool.pool)} />
      ))}
    </ul>
  );
}

function Workers({ workers }: { workers: readonly Worker[] }) {
  const filter = route.useSearch();
  const mayAct = useMay("operator");
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  const wanted = filterWorkers(workers, filter);
  const here = wanted.filter(isHere);
  const gone = wanted.filter((worker) => !isHere(worker)).sort((a, b) => goneAt(b).localeCompare(goneAt(a)));
  return (
    <>
      {workers.length > fewWorkers || isFiltered ? <Filters workers={workers} /> : null}
      <h2 className="section-title">
        Here now <span className="dim number small">{formatNumber(here.length)}</span>
      </h2>
      {here.length > 0 ? (
        <ul className="cards" aria-label="Workers that are here">
          {here.map((worker) => (
            <WorkerCard key={worker.workerId} worker={worker} mayAct={mayAct} />
          ))}
        </ul>
      ) : isFiltered ? (
        <Empty title="No worker is like that">
          <p>
            <Link to="/workers">Show all workers</Link>
          </p>
        </Empty>
      ) : (
        <Empty title="No worker is here">
          <p>A local stack starts its own; on AWS see docs/deploy.md.</p>
        </Empty>
      )}
      {gone.length > 0 ? <GoneWorkers workers={gone} /> : null}
    </>
  );
}

function Filters({ workers }: { workers: readonly Worker[] }) {
  const { pool, state, find = "" } = route.useSearch();
  const navigate = route.useNavigate();
  // A pool may have had no worker for long.
  const pools = [...new Set([...workers.map((worker) => worker.pool), ...(pool === undefined ? [] : [pool])])];
  const states = workerStates.filter((name) => name === state || workers.some((worker) => worker.state === name));
  return (
    <div className="filters">
      <FindField
        className="worker-find"
        label="Machine, instance or id"
        value={find}
        onFind={(text) =>
          void navigate({ search: (before) => ({ ...before, find: text || undefined }), replace: true })
        }
      />
      {pools.length > 1 || pool !== undefined ? (
        <select
          aria-label="Pool"
          value={pool ?? ""}
          onChange={({ target }) =>
            void navigate({ search: (before) => ({ ...before, pool: target.value || undefined }) })
          }
        >
          <option value="">all pools</option>
          {pools.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      ) : null}
      <Chips
        states={states}
        chosen={state}
        onChoose={(name) => void navigate({ search: (before) => ({ ...before, state: name }) })}
        show={(name) => (
          <>
            <FleetIcon state={name} /> {nameFleetMark(name)}{" "}
            <span className="dim number">
              {formatNumber(
                workers.filter((worker) => worker.state === name && (pool ?? worker.pool) === worker.pool).length,
              )}
            </span>
          </>
        )}
      />
    </div>
  );
}

function GoneWorkers({ workers }: { workers: readonly Worker[] }) {
  const [isAll, setAll] = useState(false);
  const shown = isAll ? workers : workers.slice(0, fewGone);
  return (
    <>
      <h2 className="section-title">
        Gone <span className="dim number small">{formatNumber(workers.length)}</span>
      </h2>
      <ul className="gone" aria-label="Workers that are gone">
        {shown.map((worker) => (
          <li key={worker.workerId}>
            <span className={`fleet-${worker.state}`}>
              <FleetIcon state={worker.state} />
            </span>
            <WorkerLink workerId={worker.workerId} isRow />
            <span className="cut">{worker.host}</span>
            <span className="dim cut">{worker.pool}</span>
            <span className={worker.state === "lost" || worker.abandoned ? "bad" : "dim"}>{tellEnd(worker)}</span>
            <span className="dim right">
              <Age at={goneAt(worker)} />
            </span>
          </li>
        ))}
      </ul>
      {shown.length < workers.length ? (
        <Button className="more" onClick={() => setAll(true)}>
          {formatNumber(workers.length - shown.length)} more
        </Button>
      ) : null}
    </>
  );
}

function tellEnd({ state, abandoned }: Worker): string {
  if (state === "lost") return "lost";
  return abandoned ? `stopped, left ${plural(abandoned, "task")} behind` : "stopped in order";
}
