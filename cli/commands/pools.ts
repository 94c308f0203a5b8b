import { describeFleetEvent, type FleetEventTone, toText } from "../../events/fleet-event-words.ts";
import type { FleetEvent, FleetEventType } from "../../events/index.ts";
import type { Pool } from "../../shared/api/schemas.ts";
import { formatAge, formatLocalTime, plural } from "../../shared/domain/format.ts";
import type { PoolState } from "../../shared/domain/pool-state.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { describePoolNotes, poolColors } from "../show/fleet-notes.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { StyleName } from "../terminal/style.ts";
import { type Cell, type Column, renderTable } from "../terminal/table.ts";

/** Options of `sluice pools events`. */
export interface EventsOptions {
  pool?: string;
  worker?: string;
  type?: FleetEventType;
  limit: number;
}

/** `sluice pools`: all pools and how their workers are. */
export function listPools(context: Context): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const { pools } = await context.api().listPools({ signal });
    if (context.json) context.writeJson({ pools });
    else showPools(context, pools);
    return exitCodes.completed;
  });
}

/** `sluice pools events`: what happened to pools and workers, the newest last. */
export function listFleetEvents(context: Context, { limit, ...query }: EventsOptions): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const events: FleetEvent[] = [];
    for await (const event of context.api().eachFleetEvent(query, { signal })) {
      if (events.length >= limit) break;
      events.push(event);
    }
    events.reverse();
    if (context.json) context.writeJson({ events });
    else if (events.length === 0) context.note("no such events in the last 30 days");
    else showEvents(context, events);
    return exitCodes.completed;
  });
}

/** `sluice pools desire POOL COUNT`: how many workers there should be; fewer degrade the pool. */
export function desireWorkers(context: Context, pool: string, desired: number | null): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const changed = await context.api().desireWorkers(pool, desired, { signal });
    if (context.json) context.writeJson(changed);
    else if (desired === null) context.out.write(`pool ${pool} may have any number of workers\n`);
    else context.out.write(`pool ${pool} should have ${plural(desired, "worker")}; it is ${words(changed.state)}\n`);
    return exitCodes.completed;
  });
}

/** `sluice pools forget POOL`: removes the records of past workers, or says which would be removed. */
export function forgetPool(context: Context, pool: string, { apply = false }: { apply?: boolean }): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const workers: string[] = [];
    for await (const forgotten of context.api().eachForgotten(pool, apply, { signal })) {
      workers.push(...forgotten.workers);
    }
    if (context.json) {
      context.writeJson({ pool, applied: apply, workers });
      return exitCodes.completed;
    }
    context.out.writeLines(workers.map(oneLine));
    const records = plural(workers.length, "record");
    if (apply) context.note(`${records} of past workers of pool ${pool} were removed`);
    else context.note(`${records} would be removed; to do it: ${context.hint(`pools forget ${pool} --apply`)}`);
    return exitCodes.completed;
  });
}

const columns: readonly Column[] = [
  { heading: "POOL", shrinkTo: 8 },
  { heading: "STATE" },
  { heading: "WORKERS" },
  { heading: "SLOTS", align: "right" },
  { heading: "TASKS", align: "right" },
  { heading: "SEEN", align: "right" },
  { heading: "NOTES", wrap: true, shrinkTo: 20 },
];

function showPools({ out, runtime }: Context, pools: readonly Pool[]): void {
  const rows = pools.map((pool) => poolRow(pool, runtime.now()));
  out.writeLines(renderTable(columns, rows, { width: out.columns, style: out.style }));
}

function poolRow(pool: Pool, nowMs: number): Cell[] {
  const { starting, alive, draining } = pool.workers;
  const states = { starting, alive, draining };
  const counts = Object.entries(states).flatMap(([state, count]) => (count > 0 ? [`${count} ${state}`] : []));
  const desired = pool.desired === undefined ? "" : ` of ${pool.desired}`;
  return [
    { text: oneLine(pool.pool) },
    { text: words(pool.state), style: poolColors[pool.state] },
    { text: `${counts.join(", ") || "none"}${desired}` },
    { text: `${pool.slots - pool.slotsFree}/${pool.slots}` },
    { text: String(pool.held) },
    { text: pool.lastSeenAt === undefined ? "never" : formatAge(nowMs - Date.parse(pool.lastSeenAt)), style: "dim" },
    { text: describePoolNotes(pool, nowMs), style: "dim" },
  ];
}

const toneStyles: Readonly<Record<FleetEventTone, StyleName | undefined>> = {
  plain: undefined,
  good: "green",
  warning: "yellow",
  bad: "red",
};

function showEvents({ out }: Context, events: readonly FleetEvent[]): void {
  out.writeLines(
    events.map((event) => {
      const { pieces, tone } = describeFleetEvent(event);
      const line = oneLine(toText(pieces));
      const style = toneStyles[tone];
      return `${out.style("dim", formatLocalTime(event.at))}  ${oneLine(event.pool)}  ${style ? out.style(style, line) : line}`;
    }),
  );
}

function words(state: PoolState): string {
  return state.replaceAll("_", " ");
}
