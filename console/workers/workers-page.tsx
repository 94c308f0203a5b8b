import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { Pool, Worker } from "../../shared/api/schemas.ts";
import { formatBytes, formatNumber, plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { useMay } from "../app/session.tsx";
import { useTitle } from "../app/title.ts";
import { Confirm } from "../ui/confirm.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { Age } from "../ui/time.tsx";
import "./workers.css";

/** Heartbeats come every five seconds: looking more often shows nothing new. */
const refreshMs = 5_000;
/** Workers that ended long ago are history. */
const shownWorkers = 200;

async function readFleet(signal: AbortSignal): Promise<{ pools: Pool[]; workers: Worker[] }> {
  const { pools } = await api.listPools({ signal });
  const workers: Worker[] = [];
  for await (const worker of api.eachWorker({ signal })) {
    workers.push(worker);
    if (workers.length >= shownWorkers) break;
  }
  return { pools, workers };
}

/** Pools and their workers as they are now. */
export function WorkersPage() {
  useTitle("Workers");
  const fleet = useQuery({
    queryKey: ["fleet"],
    queryFn: ({ signal }) => readFleet(signal),
    refetchInterval: refreshMs,
  });
  const { data } = fleet;
  return (
    <>
      <div className="page-head">
        <h1>Workers</h1>
        {fleet.isError && data ? <span className="badge badge-stale">out of date, trying again</span> : null}
      </div>
      {data ? (
        <Fleet pools={data.pools} workers={data.workers} />
      ) : fleet.error ? (
        <ErrorPanel title="The workers could not be read" error={fleet.error} onRetry={() => fleet.refetch()} />
      ) : (
        <Loading what="workers" />
      )}
    </>
  );
}

function Fleet({ pools, workers }: { pools: readonly Pool[]; workers: readonly Worker[] }) {
  const isHere = (worker: Worker) => worker.state !== "stopped" && worker.state !== "lost";
  const gone = workers.filter((worker) => !isHere(worker));
  return (
    <>
      <ul className="cards" aria-label="Pools">
        {pools.map((pool) => (
          <PoolCard key={pool.pool} pool={pool} />
        ))}
      </ul>
      <h2 className="section-title">Here now</h2>
      {workers.some(isHere) ? (
        <ul className="cards" aria-label="Workers that are here">
          {workers.filter(isHere).map((worker) => (
            <WorkerCard key={worker.workerId} worker={worker} />
          ))}
        </ul>
      ) : (
        <Empty title="No worker is here">
          <p>A local stack starts its own; on AWS see docs/deploy.md.</p>
        </Empty>
      )}
      {gone.length > 0 ? (
        <>
          <h2 className="section-title">Gone</h2>
          <ul className="gone">
            {gone.map((worker) => (
              <li key={worker.workerId}>
                <span className={`dot dot-${worker.state}`} aria-hidden="true" />
                <span className="mono">{worker.workerId}</span>
                <span>
                  {worker.state === "lost" ? "lost" : worker.abandoned ? "stopped, left tasks behind" : "stopped"}
                </span>
                <span className="dim">
                  {worker.pool} on {worker.host}, last heard of <Age at={worker.lastSeenAt} />
                </span>
              </li>
            ))}
          </ul>
        </>
      ) : null}
    </>
  );
}

const poolWords: Readonly<Record<Pool["state"], string>> = {
  alive: "alive",
  degraded: "degraded",
  scaled_down: "scaled down",
  crashed: "crashed",
  unknown: "never had a worker",
};

function PoolCard({ pool }: { pool: Pool }) {
  const here = pool.workers.starting + pool.workers.alive + pool.workers.draining;
  return (
    <li className="card">
      <div className="card-head">
        <strong>{pool.pool}</strong>
        <span className={`badge badge-pool-${pool.state}`}>{poolWords[pool.state]}</span>
      </div>
      <Slots used={pool.slots - pool.slotsFree} total={pool.slots} />
      <p className="dim">
        {plural(here, "worker")}
        {pool.workers.draining > 0 ? `, ${pool.workers.draining} draining` : ""}
        {pool.desired === undefined ? "" : `, ${formatNumber(pool.desired)} wanted`}; {plural(pool.held, "task")} held
        {here === 0 && pool.lastSeenAt ? (
          <>
            , last seen <Age at={pool.lastSeenAt} />
          </>
        ) : null}
      </p>
    </li>
  );
}

/** Used of all slots: green below 30 %, amber below 80 %, red above. */
function Slots({ used, total }: { used: number; total: number }) {
  const share = total === 0 ? 0 : used / total;
  const level = share < 0.3 ? "low" : share < 0.8 ? "some" : "high";
  const text = `${formatNumber(used)} of ${plural(total, "slot")} used`;
  return (
    <div className="slots">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={text}>
        <rect width={100 * share} height="6" className={`slots-${level}`} />
      </svg>
      <span className="number">{text}</span>
    </div>
  );
}

function WorkerCard({ worker }: { worker: Worker }) {
  const { use, health } = worker;
  return (
    <li className="card">
      <div className="card-head">
        <span className={`dot dot-${worker.state}`} aria-hidden="true" />
        <strong className="cut">{worker.host}</strong>
        <span className="badge">{worker.state}</span>
      </div>
      <Slots used={worker.slots - worker.slotsFree} total={worker.slots} />
      <p className="dim mono small">{worker.workerId}</p>
      <p className="dim">
        {worker.pool}, {worker.provider}
        {worker.instanceType ? ` ${worker.instanceType}` : ""}, version {worker.version}; {plural(worker.held, "task")}{" "}
        held, seen <Age at={worker.lastSeenAt} />
      </p>
      {use ? (
        <p className="dim number">
          cpu {Math.round(use.cpu * 100)} %, memory {formatBytes(use.memoryBytes.used)} of{" "}
          {formatBytes(use.memoryBytes.total)}, disk {formatBytes(use.diskBytes.free)} free
        </p>
      ) : null}
      {health && health.state !== "healthy" ? (
        <p className={health.state === "recovered" ? "dim" : "bad"}>
          {health.state.replaceAll("_", " ")}
          {health.detail ? `: ${health.detail}` : ""}
        </p>
      ) : null}
      <DrainButton worker={worker} />
    </li>
  );
}

function DrainButton({ worker }: { worker: Worker }) {
  const mayAct = useMay("operator");
  const queries = useQueryClient();
  if (!mayAct) return null;
  const isAsked = worker.drainRequestedAt !== undefined;
  const wish = isAsked ? "undrain" : "drain";
  const act = async () => {
    await api.askWorker(worker.workerId, wish);
    await queries.invalidateQueries({ queryKey: ["fleet"] });
  };
  return isAsked ? (
    <Confirm label="Undrain" title={`Let ${worker.host} go on?`} action="Undrain" onConfirm={act}>
      <p>It takes tasks again, if it has not ended by then.</p>
    </Confirm>
  ) : (
    <Confirm label="Drain" title={`Drain ${worker.host}?`} action="Drain" kind="danger" onConfirm={act}>
      <p>
        It takes no new tasks. The {plural(worker.held, "task")} it holds may finish until its drain's deadline and are
        then given back, unspent. Then it ends.
      </p>
    </Confirm>
  );
}
