import type { ReactNode } from "react";
import type { PoolState } from "../../shared/domain/pool-state.ts";
import type { WorkerState } from "../../shared/domain/worker-state.ts";
import "./fleet.css";

/** The states of pools and workers that look the same have one name. */
type FleetMark = PoolState | WorkerState;

const words: Readonly<Record<FleetMark, string>> = {
  alive: "alive",
  degraded: "degraded",
  scaled_down: "scaled down",
  crashed: "crashed",
  unknown: "never had a worker",
  starting: "starting",
  draining: "draining",
  lost: "lost",
  stopped: "stopped",
};

const warning = (
  <>
    <path d="M8 1.2 15 14H1z" />
    <path d="M8 5.6v4M8 11.6v.6" className="cut" />
  </>
);
const cross = (
  <>
    <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />
    <path d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" className="cut" />
  </>
);

/** Each state has a shape of its own: colour is never all there is to tell it by. */
const shapes: Readonly<Record<FleetMark, ReactNode>> = {
  alive: <circle cx="8" cy="8" r="5.5" />,
  degraded: warning,
  scaled_down: (
    <>
      <circle cx="8" cy="8" r="5.5" className="hollow" />
      <path d="M5.5 8h5" className="hollow" />
    </>
  ),
  crashed: cross,
  unknown: <circle cx="8" cy="8" r="5.5" className="hollow" strokeDasharray="2.2 2.2" />,
  starting: (
    <>
      <circle cx="8" cy="8" r="5.5" className="hollow faint" />
      <path d="M8 2.5a5.5 5.5 0 0 1 5.5 5.5" className="hollow turning" />
    </>
  ),
  draining: (
    <>
      <circle cx="8" cy="8" r="5.5" className="hollow" />
      <path d="M2.6 8.6h10.8a5.4 5.4 0 0 1-10.8 0z" />
    </>
  ),
  lost: cross,
  stopped: <rect x="3" y="3" width="10" height="10" rx="2" className="hollow" />,
};

/** A state of a pool or a worker as shape and word. */
export function FleetPill({ state }: { state: FleetMark }) {
  return (
    <span className={`state-pill fleet-${state}`}>
      <FleetIcon state={state} />
      {words[state]}
    </span>
  );
}

/** The shape of a state; the word for it stands beside it. */
export function FleetIcon({ state }: { state: FleetMark }) {
  return (
    <svg className={`state-icon fleet-${state}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      {shapes[state]}
    </svg>
  );
}

/** The word for a state. */
export function nameFleetMark(state: FleetMark): string {
  return words[state];
}
