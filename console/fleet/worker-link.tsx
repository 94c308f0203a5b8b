import { Link } from "@tanstack/react-router";

/** The end of a worker's id, which tells workers apart; the whole of it on hover. */
export function WorkerLink({ workerId, isRow = false }: { workerId: string; isRow?: boolean }) {
  return (
    <Link
      to="/workers/$worker"
      params={{ worker: workerId }}
      title={workerId}
      className="mono"
      data-row={isRow ? "" : undefined}
    >
      {shortWorkerId(workerId)}
    </Link>
  );
}

/** The last eight characters of a worker's id. */
export function shortWorkerId(workerId: string): string {
  return `w-…${workerId.slice(-8)}`;
}
