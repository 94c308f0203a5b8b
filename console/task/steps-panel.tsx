import { Link } from "@tanstack/react-router";
import type { Attempt, JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import { formatBytes, formatDuration, plural } from "../../shared/domain/format.ts";
import { useNow } from "../app/now.ts";
import { Panel } from "../ui/panel.tsx";
import { formatExact } from "../ui/time.tsx";
import { listPhases, type PhaseRow, spanOf } from "./step-rows.ts";
import { useWhy } from "./use-task.ts";

interface StepsPanelProps {
  task: Task;
  spec: JobSpecAnswer["spec"];
  record: Attempt;
}

/** What an attempt did when: a line for each of its parts, with a bar on one scale of time. */
export function StepsPanel({ task, spec, record }: StepsPanelProps) {
  const nowMs = useNow();
  const why = useWhy(task);
  const isRunning = record.endedAt === undefined;
  const reached = isRunning ? why.data?.facts.find((fact) => fact.kind === "step")?.step : undefined;
  const rows = listPhases(spec, record, reached);
  const span = spanOf(rows, nowMs);
  return (
    <Panel title="Steps">
      <table className="table phases">
        <thead>
          <tr>
            <th className="col-part">Part</th>
            <th className="col-when">
              <span className="hidden">When</span>
            </th>
            <th className="right col-began">Began</th>
            <th className="right col-took">Took</th>
            <th className="col-end">End</th>
            <th className="right col-log">Log</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Phase
              key={row.key}
              row={row}
              span={span}
              nowMs={nowMs}
              claimedMs={Date.parse(record.claimedAt)}
              attempt={record.attempt}
            />
          ))}
        </tbody>
      </table>
      {isRunning ? <p className="dim small phases-note">When its steps began and ended is told when it ends.</p> : null}
    </Panel>
  );
}

interface PhaseProps {
  row: PhaseRow;
  span: { fromMs: number; toMs: number };
  nowMs: number;
  claimedMs: number;
  attempt: number;
}

function Phase({ row, span, nowMs, claimedMs, attempt }: PhaseProps) {
  const { kind, label, fromMs, toMs, result, isBad, log } = row;
  return (
    <tr className={kind === "step" || kind === "running" ? undefined : "phase-aside"}>
      <th scope="row" className="phase-name cut" title={label}>
        {label}
      </th>
      <td className="col-when">{fromMs === undefined ? null : <Bar row={row} span={span} nowMs={nowMs} />}</td>
      <td className="right number dim col-began">
        {fromMs === undefined || kind === "queued" ? null : (
          <time dateTime={new Date(fromMs).toISOString()} title={formatExact(new Date(fromMs))}>
            +{formatDuration(fromMs - claimedMs)}
          </time>
        )}
      </td>
      <td className="right number">{fromMs === undefined ? null : formatDuration((toMs ?? nowMs) - fromMs)}</td>
      <td className={isBad ? "bad" : "dim"}>{result}</td>
      <td className="right number col-log">
        {log ? (
          <Link
            to="/jobs/$job/tasks/$task"
            from="/jobs/$job/tasks/$task"
            search={{ attempt, line: log.line }}
            title={formatBytes(log.bytes)}
          >
            {plural(log.lines, "line")}
          </Link>
        ) : null}
      </td>
    </tr>
  );
}

/** When it was, as a part of the whole. What takes no time to speak of is seen all the same. */
function Bar({ row, span, nowMs }: Pick<PhaseProps, "row" | "span" | "nowMs">) {
  const widthMs = span.toMs - span.fromMs;
  const place = (ms: number) => (1000 * Math.min(Math.max(ms - span.fromMs, 0), widthMs)) / widthMs;
  const from = Math.min(place(row.fromMs ?? span.fromMs), 996);
  const width = Math.max(4, place(row.toMs ?? nowMs) - from);
  return (
    <svg className="phase-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
      <rect x={from} width={width} height="10" className={row.isBad ? "bar-bad" : `bar-${row.kind}`} />
    </svg>
  );
}
