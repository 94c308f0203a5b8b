import type { WorkerDetail } from "../../shared/api/overview-schemas.ts";
import { parseAttemptId } from "../../shared/domain/ids.ts";
import { timing } from "../../shared/domain/timing.ts";
import { isSilent } from "../../shared/domain/worker-state.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import type { Deps } from "../deps.ts";
import { noteSilent } from "./liveness.ts";

/** Tasks of a worker that are told of, at most. */
const tasksShown = 200;
const eventsShown = 20;

/** A worker on record, with the tasks that it holds and its newest events; undefined where there is none. */
export async function describeWorker(
  deps: Deps,
  workerId: string,
): Promise<{ worker: WorkerItem; tasks: WorkerDetail["tasks"]; events: WorkerDetail["events"] } | undefined> {
  const found = await deps.workers.get(workerId);
  if (!found) return undefined;
  // That it is lost is an event of its own, which is to be among those that are read.
  if (isSilent(found, deps.now())) await noteSilent(deps, [found]);
  const [worker = found, tasks, { events }] = await Promise.all([
    deps.workers.get(workerId),
    listHeld(deps, found),
    deps.fleetEvents.list({
      pool: found.pool,
      limit: eventsShown,
      maxBytes: deps.limits.eventPageBytes,
      matches: (event) => "workerId" in event && event.workerId === workerId,
      // None is older than the worker; so far may the clocks of those who wrote both be apart.
      since: new Date(Date.parse(found.startedAt) - timing.leaseMs).toISOString(),
    }),
  ]);
  return { worker, tasks, events: events.slice(0, eventsShown) };
}

/**
 * The tasks whose lease is a worker's: those it told of at its last heartbeat and those that it claimed since. Who holds
 * a task is what the task says; the lists only tell where to look.
 */
async function listHeld(
  deps: Deps,
  { workerId, heldAttempts = [], lastSeenMs }: WorkerItem,
): Promise<WorkerDetail["tasks"]> {
  const told = heldAttempts.flatMap((id) => parseAttemptId(id) ?? []).slice(0, tasksShown);
  const [ofLastBeat, claimedSince] = await Promise.all([
    deps.tasks.getMany(told),
    // A claim that was answered while that heartbeat was on its way is not in it.
    deps.tasks.listClaimedBetween(workerId, lastSeenMs - timing.heartbeatMs, lastSeenMs + timing.workerSilentMs),
  ]);
  const held = new Map(
    [...ofLastBeat, ...claimedSince]
      .filter(({ lease }) => lease?.workerId === workerId)
      .map((task) => [`${task.jobId}/${task.task}`, task]),
  );
  return [...held.values()]
    .map((task) => ({
      job: task.jobId,
      task: task.task,
      attempt: task.attempt,
      claimedAt: task.attempts.at(-1)?.claimedAt ?? task.createdAt,
      status: task.state,
    }))
    .sort((a, b) => (a.claimedAt < b.claimedAt ? 1 : -1))
    .slice(0, tasksShown);
}
