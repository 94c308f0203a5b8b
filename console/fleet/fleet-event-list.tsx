import { Link } from "@tanstack/react-router";
import { Fragment, useState } from "react";
import { describeFleetEvent, type FleetEventPiece, type FleetEventTone } from "../../events/fleet-event-words.ts";
import type { FleetEvent } from "../../events/index.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { Button } from "../ui/button.tsx";
import { Age } from "../ui/time.tsx";
import { WorkerLink } from "./worker-link.tsx";
import "./fleet.css";

/** Shown before somebody asks for all. */
const fewEvents = 7;

/** Events of pools and workers in words, as they are given; `withPool` names the pool of each. */
export function FleetEventList({ events, withPool }: { events: readonly FleetEvent[]; withPool: boolean }) {
  const [isAll, setAll] = useState(false);
  const shown = isAll ? events : events.slice(0, fewEvents);
  return (
    <>
      <ol className="fleet-events">
        {shown.map((event) => {
          const { pieces, tone } = describeFleetEvent(event);
          return (
            <li key={`${event.pool} ${event.seq}`}>
              <ToneIcon tone={tone} />
              <span className="fleet-event-text">
                {withPool ? <span className="dim">{event.pool} </span> : null}
                {pieces.map((piece, index) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one event never change
                  <Fragment key={index}>
                    <Piece piece={piece} />
                  </Fragment>
                ))}
              </span>
              <span className="dim number">
                <Age at={event.at} />
              </span>
            </li>
          );
        })}
      </ol>
      {shown.length < events.length ? (
        <Button kind="quiet" className="more-quiet" onClick={() => setAll(true)}>
          {formatNumber(events.length - shown.length)} more
        </Button>
      ) : null}
    </>
  );
}

function Piece({ piece }: { piece: FleetEventPiece }) {
  if (typeof piece === "string") return piece;
  if ("worker" in piece) return <WorkerLink workerId={piece.worker} />;
  const { jobId, task, attempt } = piece.attempt;
  return (
    <Link
      to="/jobs/$job/tasks/$task"
      params={{ job: jobId, task }}
      search={{ attempt }}
      title={`${jobId}/${task}, attempt ${attempt}`}
    >
      {task}
    </Link>
  );
}

const toneWords: Readonly<Record<FleetEventTone, string>> = { plain: "", good: "good", warning: "warning", bad: "bad" };

function ToneIcon({ tone }: { tone: FleetEventTone }) {
  return (
    <svg
      className={`tone tone-${tone}`}
      viewBox="0 0 10 10"
      width="9"
      height="9"
      role={tone === "plain" ? "presentation" : "img"}
      aria-label={toneWords[tone] || undefined}
    >
      {tone === "bad" ? (
        <path d="M3 0h4l3 3v4l-3 3H3L0 7V3z" />
      ) : tone === "warning" ? (
        <path d="M5 0l5 10H0z" />
      ) : (
        <circle cx="5" cy="5" r={tone === "good" ? 4.5 : 2.5} />
      )}
    </svg>
  );
}
