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
          <dt>alive</dt>
          <dd>
            {formatNumber(pool.workers.alive)}
            {more}
            {pool.desired === undefined ? null : <span className="dim small"> of {formatNumber(pool.desired)}</span>}
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

/** What is out of the ordinary, in one line, so that the cards of a row stay alike. */
function PoolNotes({ pool, here }: { pool: Pool; here: number }) {
  const { draining, starting } = pool.workers;
  const open = pool.losses.filter(({ replaced }) => !replaced).length;
  const last = pool.losses.at(-1);
  if (here === 0 && pool.lastSeenAt !== undefined) {
    return (
      <p className={pool.state === "crashed" ? "bad cut" : "dim cut"}>
        {pool.state === "crashed" ? "crashed, " : ""}last seen alive <Age at={pool.lastSeenAt} />
        {last ? `, ${formatNumber(pool.losses.length)} lost` : ""}
      </p>
    );
  }
  const notes = [
    pool.configured ? "" : "not configured",
    draining > 0 ? `${formatNumber(draining)} draining` : "",
    starting > 0 ? `${formatNumber(starting)} starting` : "",
    last ? "" : `${plural(pool.held, "task")} held`,
  ].filter((note) => note !== "");
  return (
    <p className={open > 0 ? "bad cut" : "dim cut"}>
      {last ? (
        <>
          {formatNumber(pool.losses.length)} lost, {tellReplaced(open, pool.losses.length)},{" "}
          <WorkerLink workerId={last.workerId} /> <Age at={last.at} />
          {notes.length > 0 ? "; " : ""}
        </>
      ) : null}
      {notes.join(", ")}
    </p>
  );
}

function tellReplaced(open: number, lost: number): string {
  if (open === 0) return "replaced";
  return open === lost ? "not replaced" : `${formatNumber(open)} not replaced`;
}
