import { useQuery } from "@tanstack/react-query";
import { CatchBoundary } from "@tanstack/react-router";
import { lazy, Suspense, useMemo, useState } from "react";
import type { TaskMetrics } from "../../shared/api/metric-schemas.ts";
import type { Attempt, JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import { api } from "../api/client.ts";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { Panel } from "../ui/panel.tsx";
import { buildCharts, findMarks, findRange } from "./chart-data.ts";
import { UseTable } from "./use-table.tsx";
import "./charts.css";

const Charts = lazy(() => import("./charts.tsx"));

const chartPoints = 300;
/** Samples are taken so often; they are stored less often the longer an attempt runs. */
const sampleMs = 5_000;
const longestLookMs = 60_000;
const looksPerAge = 20;
/** What a worker had taken when it was lost is stored within this time, or most likely never. */
const rescuedMs = 10 * 60_000;

interface UsePanelProps {
  task: Task;
  record: Attempt;
  spec: JobSpecAnswer["spec"] | undefined;
}

/** What an attempt used over time, as a whole or one of its parts. */
export function UsePanel({ task, record, spec }: UsePanelProps) {
  const [source, setSource] = useState("task");
  const [isTable, setTable] = useState(false);
  const { data: metrics, error, refetch } = useMetrics(task, record, source);
  const charts = useMemo(() => (metrics ? buildCharts(metrics, chartPoints) : []), [metrics]);
  const marks = useMemo(() => metrics && findMarks(record.steps ?? [], metrics), [metrics, record.steps]);
  const choices = metrics?.sources ?? [];
  return (
    <Panel
      title="Resource use"
      aside={
        choices.length > 0 ? (
          <span className="use-choices">
            <select aria-label="Of what" value={source} onChange={({ target }) => setSource(target.value)}>
              {choices.map((choice) => (
                <option key={choice} value={choice}>
                  {nameSource(choice, spec)}
                </option>
              ))}
            </select>
            <Button aria-pressed={isTable} onClick={() => setTable(!isTable)}>
              Table
            </Button>
          </span>
        ) : null
      }
    >
      {error ? (
        <p className="bad" role="alert">
          What it used could not be read: {explainError(error)}{" "}
          <Button onClick={() => void refetch()}>Try again</Button>
        </p>
      ) : null}
      {metrics?.unreadable ? <p className="dim">Some samples are damaged; what they told is missing here.</p> : null}
      {metrics && charts.length === 0 ? <p className="dim">{explainNothing(record, metrics)}</p> : null}
      {!metrics && !error ? (
        <div className="charts charts-waiting" role="status" aria-label="Reading what it used" />
      ) : null}
      {marks && charts.length > 0 ? (
        isTable ? (
          <UseTable charts={charts} />
        ) : (
          <CatchBoundary getResetKey={() => source} errorComponent={BrokenCharts}>
            <Suspense fallback={<div className="charts charts-waiting" />}>
              <Charts {...{ charts, marks, range: findRange(charts, marks), group: `${task.job}/${task.task}` }} />
              <Legend hasSteps={marks.bands.length > 0} kills={marks.kills.length} />
            </Suspense>
          </CatchBoundary>
        )
      ) : null}
    </Panel>
  );
}

/** Charts that could not be loaded or drawn take nothing else of the page with them. */
function BrokenCharts() {
  return <p className="bad">The charts could not be shown; the table has the same numbers.</p>;
}

/** The samples of an attempt; while it runs, and somebody looks, those that are new. */
function useMetrics(task: Task, record: Attempt, source: string) {
  const { attempt, endedAt } = record;
  return useQuery({
    queryKey: ["metrics", task.job, task.task, attempt, source, endedAt],
    queryFn: ({ signal }) => api.readMetrics(task.job, task.task, { attempt, source, points: chartPoints }, { signal }),
    placeholderData: (before, query) => (query?.queryKey[3] === attempt ? before : undefined),
    staleTime: endedAt === undefined ? sampleMs : Number.POSITIVE_INFINITY,
    refetchInterval: ({ state }) => {
      // Of one whose worker died, the rest may come from another.
      if (state.data?.complete || (endedAt !== undefined && Date.now() - Date.parse(endedAt) > rescuedMs)) return false;
      const ageMs = Date.now() - Date.parse(record.claimedAt);
      return Math.min(longestLookMs, Math.max(sampleMs, ageMs / looksPerAge));
    },
  });
}

function nameSource(source: string, spec: JobSpecAnswer["spec"] | undefined): string {
  if (source === "task") return "Whole task";
  if (source === "host") return "Its machine";
  const step = /^step-(\d+)$/.exec(source)?.[1];
  if (step === undefined) return `Service ${source.slice("service-".length)}`;
  return `Step ${step}: ${spec?.steps[Number(step) - 1]?.name ?? ""}`;
}

function explainNothing({ endedAt, rescue, footprint }: Attempt, { source }: TaskMetrics): string {
  if (source !== "task") return "It was not sampled in this attempt.";
  if (endedAt === undefined) return "Nothing is stored yet: the first samples come within 30 s.";
  if (rescue) return "Its worker was lost before any sample was stored.";
  if (footprint) return "Of what is over within some seconds only the sums are kept: they stand above.";
  return "It was over before it could be sampled, which is done each second at first.";
}

function Legend({ hasSteps, kills }: { hasSteps: boolean; kills: number }) {
  return (
    <p className="dim small charts-legend">
      {hasSteps ? "Numbered bands: its steps. " : null}
      {kills > 0 ? <span className="bad">✕ something was killed for lack of memory. </span> : null}
      Times are of the worker's clock.
    </p>
  );
}
