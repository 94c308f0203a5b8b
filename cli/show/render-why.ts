import type { Why } from "../../shared/api/schemas.ts";
import { formatAge, formatDuration, formatNumber, plural } from "../../shared/domain/format.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import type { FactOf, WhyFact } from "../../shared/domain/why-facts.ts";
import { cleanForTerminal } from "../logs/log-printer.ts";
import { oneLine } from "../terminal/one-line.ts";
import { markLooks } from "../terminal/symbols.ts";
import { renderTable } from "../terminal/table.ts";
import { wrap } from "../terminal/text.ts";
import { explainReason } from "../watch/task-line.ts";
import { type Field, formatMoment, renderFields } from "./fields.ts";
import type { ShowOptions } from "./render-job.ts";

type Attempt = FactOf<"attempt">;

/** Why a task is where it is: the sentence, what it rests on, the last lines of its log, its attempts. */
export function renderWhy(why: Why, options: ShowOptions): string[] {
  const { style, width, nowMs } = options;
  const { symbol, label, color } = markLooks[markTask(why.status, isWarning(why))];
  const name = style("bold", oneLine(`${why.job}/${why.task}`));
  const lines = [`${symbol} ${name}  ${style(color, label)}  ${style("dim", why.code)}`];
  // A reason may have lines of its own, such as a service's last words.
  const sentences = why.summary.split("\n").flatMap((line) => wrap(oneLine(line), width - 3));
  lines.push(...sentences.map((line) => `   ${line}`));
  const fields = why.facts.flatMap((fact) => describeFact(fact, nowMs));
  if (fields.length > 0) lines.push("", ...renderFields(fields, style));
  for (const fact of why.facts) if (fact.kind === "log") lines.push("", ...renderLog(fact, options));
  const attempts = why.facts.flatMap((fact) => (fact.kind === "attempt" ? [fact] : []));
  if (attempts.length > 0) {
    lines.push("", ...renderAttempts(attempts, options), "");
    lines.push(style("dim", `logs: ${options.hint(`logs ${oneLine(why.job)} ${oneLine(why.task)}`)}`));
  }
  return lines;
}

/** Exit 42 is shown as a warning. */
function isWarning({ facts }: Why): boolean {
  return facts.some((fact) => fact.kind === "step" && fact.exitCode === 42);
}

/** A fact as a field; none where it is shown elsewhere, or where a newer control plane knows more than this client. */
function describeFact(fact: WhyFact, nowMs: number): Field[] {
  const moment = (at: string) => formatMoment(at, formatAge, nowMs);
  const until = (at: string) => `${formatDuration(Date.parse(at) - nowMs)} from now`;
  switch (fact.kind) {
    case "need":
      return [["needs", `${oneLine(fact.task)} (${markLooks[fact.status].label})`]];
    case "needs":
      return [["unmet needs", formatNumber(fact.unmet)]];
    case "expansion":
      return [["written", `${formatNumber(fact.written)} of ${plural(fact.total, "task")}`]];
    case "pool":
      return [["pool", describePool(fact, nowMs)]];
    case "queue":
      return [["before it", describeQueue(fact)]];
    case "message":
      return [["message", fact.sent ? "sent" : "not known to be sent"]];
    case "waiting":
      return [
        ["waits since", moment(fact.since)],
        ["slots", String(fact.slots)],
      ];
    case "retry":
      return [["next attempt", `${fact.nextAttempt}, ${until(fact.notBefore)}`]];
    case "cancel":
      return [["cancelled", `${moment(fact.at)}: ${oneLine(fact.detail)}`]];
    case "worker":
      return [["worker", describeWorker(fact, nowMs)]];
    case "lease":
      return [
        ["started", moment(fact.claimedAt)],
        ["lease", `renewed ${formatAge(nowMs - Date.parse(fact.renewedAt))}, ends ${moment(fact.until)}`],
      ];
    case "step": {
      const exit = fact.exitCode === undefined ? "" : `, exit ${fact.exitCode}`;
      const memory = fact.outOfMemory ? " (out of memory)" : "";
      return [["step", `${fact.step} of ${fact.steps}: ${oneLine(fact.name)}${exit}${memory}`]];
    }
    case "reason": {
      // Nobody is at fault for what somebody asked for.
      const fault = fact.fault === "infrastructure" ? "infrastructure, not the task" : "the task or its job file";
      return [["reason", fact.code === "cancelled" ? fact.code : `${fact.code}; at fault: ${fault}`]];
    }
    default:
      return [];
  }
}

function describePool(pool: FactOf<"pool">, nowMs: number): string {
  const seen = pool.lastSeenAt === undefined ? "" : `, last seen ${formatAge(nowMs - Date.parse(pool.lastSeenAt))}`;
  const name = oneLine(pool.pool);
  if (pool.workers === 0) return `${name}: no worker${seen}`;
  const draining = pool.draining > 0 ? ` (${formatNumber(pool.draining)} draining)` : "";
  const least = pool.more ? "at least " : "";
  const slots = `${formatNumber(pool.slotsUsed)} of ${plural(pool.slots, "slot")} used`;
  return `${name}: ${least}${plural(pool.workers, "worker")}${draining}, ${slots}, the largest has ${pool.largestWorker}`;
}

function describeQueue({ tasksBefore, jobsBefore, more, sameJob }: FactOf<"queue">): string {
  const least = more ? "more than " : "";
  const others = sameJob > 0 ? `; ${plural(sameJob, "other task")} of this job` : "";
  return `${least}${plural(tasksBefore, "task")} of ${least}${plural(jobsBefore, "earlier job")}${others}`;
}

function describeWorker({ workerId, host, state, lastSeenAt }: FactOf<"worker">, nowMs: number): string {
  const seen = lastSeenAt === undefined ? "" : `last seen ${formatAge(nowMs - Date.parse(lastSeenAt))}`;
  return [workerId, host === undefined ? "" : `on ${oneLine(host)}`, state ?? "", seen]
    .filter((part) => part !== "")
    .join(", ");
}

function renderLog({ attempt, lines }: FactOf<"log">, { style }: Pick<ShowOptions, "style">): string[] {
  const steps = [...new Set(lines.flatMap(({ step }) => step ?? []))].join(", ");
  const keepsColors = style("red", "x") !== "x";
  return [
    style("dim", `last lines of step ${steps}, attempt ${attempt}:`),
    ...lines.map(({ text, cut }) => `   ${cut ? "…" : ""}${cleanForTerminal(text, keepsColors, true)}`),
  ];
}

function renderAttempts(attempts: readonly Attempt[], { style, width, nowMs }: ShowOptions): string[] {
  const columns = [
    { heading: "ATTEMPT", align: "right" as const },
    { heading: "STATUS" },
    { heading: "TIME", align: "right" as const },
    { heading: "WORKER", shrinkTo: 12 },
    { heading: "REASON", shrinkTo: 24, wrap: true },
  ];
  const rows = attempts.map(({ attempt, workerId, claimedAt, endedAt, status, exitCode, reason }) => {
    const endMs = endedAt === undefined ? nowMs : Date.parse(endedAt);
    const label = status ?? (endedAt === undefined ? "running" : "given back");
    const look = status === undefined ? undefined : markLooks[markTask(status, exitCode === 42)];
    return [
      { text: String(attempt) },
      { text: look?.label ?? label, ...(look ? { style: look.color } : {}) },
      { text: formatDuration(endMs - Date.parse(claimedAt)) },
      { text: oneLine(workerId), style: "dim" as const },
      { text: explainReason(reason) },
    ];
  });
  return renderTable(columns, rows, { width, style });
}
