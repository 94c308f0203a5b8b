import { Link } from "@tanstack/react-router";
import type { Pool } from "../../shared/api/schemas.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { Age } from "../ui/time.tsx";
import { FleetPill } from "./marks.tsx";
import { formatShare, UseBar } from "./use-bar.tsx";
import { WorkerLink } from "./worker-link.tsx";
import "./fleet.css";

interface PoolCardProps {
  pool: Pool;
  /** Messages that wait for it; undefined where nobody could tell. */
  waiting: number | undefined;
}

/** A pool: how its workers are, what waits for them, and how busy they are. */
export function PoolCard({ pool, waiting }: PoolCardProps) {
  const here = pool.workers.starting + pool.workers.alive + pool.workers.draining;
  const used = pool.slots - pool.slotsFree;
  const more = pool.more ? "+" : "";
  return (
    <li className="card pool-card">
      <div className="card-head">
        <Link to="/workers" search={{ pool: pool.pool }} data-row className="cut">
          <strong>{pool.pool}</strong>
        </Link>
        <FleetPill state={pool.state} />
      </div>
      <dl className="pool-facts">
        <div>
          <dt>{pool.desired === undefined ? "workers" : "of desired"}</dt>
          <dd>
            {formatNumber(here)}
            {more}
            {pool.desired === undefined ? null : <span className="dim">/{formatNumber(pool.desired)}</span>}
          </dd>
        </div>
        <div>
          <dt>backlog</dt>
          <dd>{waiting === undefined ? "–" : formatNumber(waiting)}</dd>
        </div>
        <div>
          <dt>capacity</dt>
          <dd>
            {formatNumber(pool.slots)}
            {more} <span className="dim small">{pool.slots === 1 ? "slot" : "slots"}</span>
          </dd>
        </div>
      </dl>
      <div className="use">
        <UseBar label={`${formatNumber(used)} of ${plural(pool.slots, "slot")} used`} used={used} total={pool.slots} />
        <span className="number dim">{formatShare(used, pool.slots)}</span>
      </div>
      <PoolNotes pool={pool} here={here} />
    </li>
  );
}

/** What is out of the ordinary, the worst first; one line, so that the cards of a row stay alike. */
function PoolNotes({ pool, here }: { pool: Pool; here: number }) {
  const open = pool.losses.filter(({ replaced }) => !replaced);
  const last = pool.losses.at(-1);
  if (here === 0 && pool.lastSeenAt) {
    return (
      <p className={pool.state === "crashed" ? "bad" : "dim"}>
        {pool.state === "crashed" ? "crashed, " : ""}last seen alive <Age at={pool.lastSeenAt} />
      </p>
    );
  }
  if (last) {
    return (
      <p className={open.length > 0 ? "bad" : "dim"}>
        {plural(pool.losses.length, "worker")} lost, {open.length === 0 ? "replaced" : `${open.length} not replaced`};{" "}
        <WorkerLink workerId={last.workerId} /> <Age at={last.at} />
      </p>
    );
  }
  const { draining, starting } = pool.workers;
  const notes = [
    draining > 0 ? `${formatNumber(draining)} draining` : "",
    starting > 0 ? `${formatNumber(starting)} starting` : "",
    `${plural(pool.held, "task")} held`,
    pool.configured ? "" : "not configured: no job can be sent to it",
  ];
  return <p className="dim">{notes.filter((note) => note !== "").join(", ")}</p>;
}
