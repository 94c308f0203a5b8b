import { getRouteApi, Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useRef } from "react";
import type { JobView, TaskView } from "../../shared/api-client/job-view.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { taskStates } from "../../shared/domain/task-state.ts";
import { FindField } from "../ui/find-field.tsx";
import { Empty } from "../ui/panel.tsx";
import { StatePill } from "../ui/state.tsx";
import { StateChips } from "../ui/state-chips.tsx";
import { Span } from "../ui/time.tsx";
import { reasonGroupOf } from "./reason-groups.ts";

const route = getRouteApi("/jobs/$job");
const rowHeightPx = 32;

/** The tasks of a job as a list that only draws what is in view. */
export function TaskTable({ view, tasks: all }: { view: JobView; tasks: readonly TaskView[] }) {
  const { status, find = "", group } = route.useSearch();
  const navigate = route.useNavigate();
  const scroller = useRef<HTMLDivElement>(null);
  const wanted = find.trim().toLowerCase();
  const isAll = status === undefined && wanted === "" && group === undefined;
  const tasks = isAll
    ? all
    : all.filter(
        (task) =>
          (status === undefined || task.status === status) &&
          (group === undefined || reasonGroupOf(task) === group) &&
          task.task.includes(wanted),
      );
  const rows = useVirtualizer({
    count: tasks.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeightPx,
    overscan: 12,
    getItemKey: (index) => tasks[index]?.task ?? index,
  });
  const present = taskStates.filter((state) => view.counts[state] > 0 || state === status);
  return (
    <section aria-label="Tasks">
      <div className="filters">
        <FindField
          label="Find a task"
          value={find}
          onFind={(text) =>
            void navigate({ search: (before) => ({ ...before, find: text || undefined }), replace: true })
          }
        />
        <StateChips
          states={present}
          chosen={status}
          onChoose={(state) => void navigate({ search: (before) => ({ ...before, status: state }) })}
        />
        {group === undefined ? null : (
          <button
            type="button"
            className="chip"
            aria-pressed="true"
            onClick={() => void navigate({ search: (before) => ({ ...before, group: undefined }), replace: true })}
          >
            of one reason <span aria-hidden="true">×</span>
            <span className="hidden">show all</span>
          </button>
        )}
        <span className="grow" />
        <span className="dim number">
          {formatNumber(view.total - view.counts.pending - view.counts.queued - view.counts.running)} of{" "}
          {formatNumber(view.total)} ended
        </span>
      </div>
      {tasks.length === 0 ? (
        <Empty title={view.tasks.size === 0 ? "No task has been read yet" : "No task is like that"} />
      ) : (
        <div ref={scroller} className="rows" role="list" aria-label="Tasks">
          <div className="rows-body" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map(({ index, key, start }) => {
              const task = tasks[index];
              return task ? (
                <TaskRow key={key} job={view.job} task={task} index={index} size={tasks.length} topPx={start} />
              ) : null;
            })}
          </div>
        </div>
      )}
    </section>
  );
}

interface RowProps {
  job: string;
  task: TaskView;
  index: number;
  size: number;
  topPx: number;
}

/** Drawn again where its task has changed, not with every change of any. */
const TaskRow = memo(function TaskRow({ job, task, index, size, topPx }: RowProps) {
  return (
    <div
      className="row"
      role="listitem"
      aria-posinset={index + 1}
      aria-setsize={size}
      style={{ transform: `translateY(${topPx}px)` }}
    >
      <span className="row-state">
        <StatePill mark={markTask(task.status, task.warning)} />
      </span>
      <span className="row-name cut">
        <Link to="/jobs/$job/tasks/$task" params={{ job, task: task.task }} data-row>
          {task.task}
        </Link>
        {task.attempt > 1 ? <span className="dim"> attempt {task.attempt}</span> : null}
      </span>
      <span className="row-reason cut dim" title={task.reason?.detail}>
        {explain(task)}
      </span>
      <span className="row-time right">
        {task.startedAtMs === undefined ? "" : <Span fromMs={task.startedAtMs} toMs={task.endedAtMs} />}
      </span>
    </div>
  );
});

function explain(task: TaskView): string {
  if (task.reason) return task.reason.detail || task.reason.code;
  const { waitingFor } = task;
  if (task.status !== "pending" || !waitingFor || waitingFor.names.length === 0) return "";
  const more = waitingFor.count - waitingFor.names.length;
  return `waits for ${waitingFor.names.join(", ")}${more > 0 ? ` and ${formatNumber(more)} more` : ""}`;
}
