import type { JobEvent } from "../../events/index.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { Empty } from "../ui/panel.tsx";
import { nameMark, StateIcon } from "../ui/state.tsx";
import { Age } from "../ui/time.tsx";

const shownEvents = 200;

/** What happened last to the job, the newest first. */
export function EventList({ events, newest }: { events: readonly JobEvent[]; newest: number }) {
  const shown = events.slice(-shownEvents).reverse();
  if (shown.length === 0) return <Empty title="No event has been read yet" />;
  return (
    <>
      <p className="dim">
        The newest {formatNumber(shown.length)} of {plural(newest, "event")}.
      </p>
      <ol className="events">
        {shown.map((event) => (
          <li key={event.seq}>
            <span className="number dim">{formatNumber(event.seq)}</span>
            <span>
              <Age at={event.at} />
            </span>
            <span className="event-text">{describe(event)}</span>
          </li>
        ))}
      </ol>
    </>
  );
}

function describe(event: JobEvent) {
  switch (event.type) {
    case "job.submitted":
      return `submitted by ${event.submittedBy}: ${plural(event.tasks, "task")} for the pool ${event.pool}`;
    case "job.started":
      return "the job started";
    case "job.cancel_requested":
      return `to be cancelled: ${event.detail}`;
    case "job.retry_requested":
      return `${event.by} asked for ${plural(event.count, "task")} to be run again`;
    case "job.ended":
      return (
        <>
          <StateIcon mark={event.state} /> the job {event.state === "completed" ? "completed" : `ended: ${event.state}`}
        </>
      );
    case "task.transition": {
      const mark = markTask(event.to, event.warning);
      return (
        <>
          <StateIcon mark={mark} /> <strong>{event.task}</strong> {nameMark(mark)}
          {event.reason ? <span className="dim"> {event.reason.detail}</span> : null}
        </>
      );
    }
  }
}
