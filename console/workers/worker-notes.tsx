import type { Worker } from "../../shared/api/schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import { Age } from "../ui/time.tsx";

/** What is out of the ordinary with a worker: its drain, its end, its health. Nothing where all is well. */
export function WorkerNotes({ worker }: { worker: Worker }) {
  const { health } = worker;
  return (
    <>
      <DrainNote worker={worker} />
      {worker.state === "lost" ? (
        <p className="bad">
          silent for three heartbeats, last heard of <Age at={worker.lastSeenAt} />
        </p>
      ) : null}
      {worker.state === "stopped" ? (
        <p className={worker.abandoned ? "bad" : "dim"}>
          stopped <Age at={worker.stoppedAt ?? worker.lastSeenAt} />,{" "}
          {worker.abandoned ? `left ${plural(worker.abandoned, "task")} behind` : "in order"}
        </p>
      ) : null}
      {health && health.state !== "healthy" ? (
        <p className={health.state === "recovered" ? "dim" : "bad"}>
          {health.state.replaceAll("_", " ")}
          {health.attempt === undefined ? "" : `, attempt ${health.attempt}`}
          {health.detail ? `: ${health.detail}` : ""}
        </p>
      ) : null}
    </>
  );
}

function DrainNote({ worker }: { worker: Worker }) {
  const { state, drainRequestedAt, drainRequestedBy, drainingSince, drainCause } = worker;
  if (state === "stopped" || state === "lost") return null;
  const asked = drainRequestedBy === undefined ? "asked to drain" : `${drainRequestedBy} asked it to drain`;
  if (drainingSince !== undefined) {
    const cause = drainCause?.detail ?? drainCause?.kind;
    return (
      <p className="drain-note">
        began to drain <Age at={drainingSince} />
        {cause === undefined ? "" : `: ${cause}`}
        {drainRequestedAt === undefined ? null : (
          <>
            ; {asked} <Age at={drainRequestedAt} />
          </>
        )}
      </p>
    );
  }
  if (drainRequestedAt === undefined) return null;
  return (
    <p className="drain-note">
      {asked} <Age at={drainRequestedAt} />; it has not answered yet
    </p>
  );
}
