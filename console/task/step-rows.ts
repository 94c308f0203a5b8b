import type { Attempt, JobSpecAnswer } from "../../shared/api/schemas.ts";
import { logKey } from "../logs/log-model.ts";

/** What a part of an attempt was: what it waited for, did itself, or ran beside the steps. */
export type PhaseKind = "queued" | "preparing" | "step" | "service" | "storing" | "running";

/** A part of an attempt as a line of its table; times are milliseconds since the epoch, absent where nobody told them. */
export interface PhaseRow {
  kind: PhaseKind;
  key: string;
  label: string;
  fromMs?: number;
  /** Absent while it goes on. */
  toMs?: number;
  /** How it ended, or that it did not begin. */
  result?: string;
  isBad?: boolean;
  /** What it printed; the log of a step that was not reached has nothing. */
  log?: { line: string; lines: number; bytes: number };
}

type Spec = Pick<JobSpecAnswer["spec"], "steps" | "services">;

/**
 * The parts of an attempt in the order in which they began. Steps tell their times when the attempt ends; until then
 * `reached` is the last of them that is known to have begun.
 */
export function listPhases(spec: Spec, attempt: Attempt, reached = 0): PhaseRow[] {
  const claimedMs = Date.parse(attempt.claimedAt);
  const endedMs = attempt.endedAt === undefined ? undefined : Date.parse(attempt.endedAt);
  const times = findTimes(attempt, claimedMs, endedMs);
  const queued: PhaseRow[] =
    attempt.waitedMs === undefined
      ? []
      : [{ kind: "queued", key: "queued", label: "Queued", fromMs: claimedMs - attempt.waitedMs, toMs: claimedMs }];
  const preparing: PhaseRow[] =
    times === undefined
      ? []
      : [{ kind: "preparing", key: "preparing", label: "Preparing", fromMs: claimedMs, toMs: times.firstMs }];
  const services = Object.keys(spec.services ?? {}).map((name): PhaseRow => {
    const row: PhaseRow = {
      kind: "service",
      key: `service-${name}`,
      label: `Service ${name}`,
      ...logOf(attempt, { service: name }),
    };
    return times === undefined ? row : { ...row, result: "beside the steps" };
  });
  const steps = spec.steps.map(({ name }, at): PhaseRow => {
    const row = describeStep(attempt, name, at + 1, endedMs);
    if (endedMs !== undefined || at >= reached) return row;
    return { ...row, result: at + 1 === reached ? "running" : "has ended" };
  });
  const running: PhaseRow[] =
    times === undefined && endedMs === undefined
      ? [{ kind: "running", key: "running", label: "Running", fromMs: claimedMs }]
      : [];
  const storing: PhaseRow[] =
    times === undefined || endedMs === undefined || endedMs <= times.lastMs
      ? []
      : [{ kind: "storing", key: "storing", label: "Storing its output", fromMs: times.lastMs, toMs: endedMs }];
  return [...queued, ...preparing, ...running, ...services, ...steps, ...storing];
}

/** From the first step's beginning to the last one's end, within the attempt: the worker's clock may be another. */
function findTimes(attempt: Attempt, claimedMs: number, endedMs = Number.POSITIVE_INFINITY) {
  const started = (attempt.steps ?? []).flatMap(({ startedAt }) => startedAt ?? []).map((at) => Date.parse(at));
  const ended = (attempt.steps ?? []).flatMap(({ endedAt }) => endedAt ?? []).map((at) => Date.parse(at));
  if (started.length === 0) return undefined;
  const firstMs = Math.max(claimedMs, Math.min(...started));
  const lastMs = ended.length === 0 ? Math.max(...started) : Math.max(...ended);
  return { firstMs, lastMs: Math.min(lastMs, endedMs) };
}

function describeStep(attempt: Attempt, name: string, index: number, endedMs: number | undefined): PhaseRow {
  const result = attempt.steps?.find((step) => step.index === index);
  const row: PhaseRow = {
    kind: "step",
    key: `step-${index}`,
    label: `${index}. ${name}`,
    ...logOf(attempt, { step: index }),
  };
  if (!result) return row;
  if (result.startedAt === undefined) return { ...row, result: "did not start" };
  const end = result.endedAt === undefined ? endedMs : Date.parse(result.endedAt);
  const said = [
    ...(result.outOfMemory ? ["out of memory"] : []),
    ...(result.exitCode === undefined ? [] : [`exit ${result.exitCode}`]),
  ];
  return {
    ...row,
    fromMs: Date.parse(result.startedAt),
    ...(end === undefined ? {} : { toMs: end }),
    result: said.length > 0 ? said.join(", ") : "was ended",
    isBad: result.exitCode !== 0,
  };
}

function logOf({ logs = [] }: Attempt, owner: { step: number } | { service: string }): Pick<PhaseRow, "log"> {
  const key = logKey(owner);
  const summary = logs.find((log) => logKey(log) === key);
  if (!summary || summary.lines === 0) return {};
  return { log: { line: `${key}:1`, lines: summary.lines, bytes: summary.bytes } };
}

/** Waiting in the queue takes no more than this part of the picture: what ran is to be seen beside it. */
const mostQueued = 0.2;

/** Where the picture of an attempt begins and ends. */
export function spanOf(rows: readonly PhaseRow[], nowMs: number): { fromMs: number; toMs: number } {
  const rest = rows.filter(({ kind, fromMs }) => kind !== "queued" && fromMs !== undefined);
  const begins = rest.map(({ fromMs = nowMs }) => fromMs);
  const ends = rest.map(({ toMs = nowMs }) => toMs);
  const beginMs = begins.length === 0 ? nowMs : Math.min(...begins);
  const toMs = Math.max(beginMs + 1, ...ends);
  const queued = rows.find(({ kind }) => kind === "queued");
  const queuedMs = Math.max(0, beginMs - (queued?.fromMs ?? beginMs));
  return { fromMs: beginMs - Math.min(queuedMs, ((toMs - beginMs) * mostQueued) / (1 - mostQueued)), toMs };
}
