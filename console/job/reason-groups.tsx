import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { TaskView } from "../../shared/api-client/job-view.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { limits } from "../../shared/domain/limits.ts";
import { nameReason } from "../../shared/domain/reason-words.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { api } from "../api/client.ts";
import { useMay } from "../app/session.tsx";
import { Button } from "../ui/button.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { StateIcon } from "../ui/state.tsx";
import { groupReasons, type ReasonGroup } from "./reason-groups.ts";

const route = getRouteApi("/jobs/$job");
const shownGroups = 4;
const shownTasks = 5;

/** Why tasks did not complete, alike reasons together: which are chosen, the list below shows. */
export function ReasonGroups({
  job,
  tasks,
  onRetried,
}: {
  job: string;
  tasks: readonly TaskView[];
  onRetried: () => void;
}) {
  const groups = useMemo(() => groupReasons(tasks), [tasks]);
  const [all, setAll] = useState(false);
  const { group: chosen } = route.useSearch();
  if (groups.length === 0) return null;
  const shown = groups.filter(({ key }, index) => all || index < shownGroups || key === chosen);
  return (
    <section className="reasons" aria-labelledby="reasons-title">
      <h2 id="reasons-title">Why tasks did not complete</h2>
      <ul className="reason-list">
        {shown.map((group) => (
          <GroupRow key={group.key} job={job} group={group} isChosen={group.key === chosen} onRetried={onRetried} />
        ))}
      </ul>
      {groups.length > shownGroups ? (
        <Button kind="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${formatNumber(groups.length)} reasons`}
        </Button>
      ) : null}
    </section>
  );
}

interface GroupRowProps {
  job: string;
  group: ReasonGroup;
  isChosen: boolean;
  onRetried: () => void;
}

function GroupRow({ job, group, isChosen, onRetried }: GroupRowProps) {
  const navigate = route.useNavigate();
  const mayAct = useMay("submitter");
  const { tasks, code, example, fault } = group;
  const [first] = tasks;
  const names = tasks.slice(0, limits.tasksPerJob).map(({ task }) => task);
  const retry = async () => {
    await api.retryTasks(job, names, { idempotencyKey: crypto.randomUUID() });
    onRetried();
  };
  const choose = () =>
    void navigate({ search: (before) => ({ ...before, group: isChosen ? undefined : group.key }), replace: true });
  return (
    <li className="reason">
      <button type="button" className="reason-choice" aria-pressed={isChosen} onClick={choose}>
        {first ? <StateIcon mark={markTask(first.status, first.warning)} /> : null}
        <strong className="number">{formatNumber(tasks.length)}</strong> {nameReason(code)}
        <span className="dim">{fault === "infrastructure" ? "infrastructure's fault" : "the job's own"}</span>
      </button>
      <p className="reason-example" title={example}>
        {example}
      </p>
      <p className="reason-tasks dim">
        {tasks.slice(0, shownTasks).map(({ task }, index) => (
          <span key={task}>
            {index > 0 ? ", " : ""}
            <Link to="/jobs/$job/tasks/$task" params={{ job, task }}>
              {task}
            </Link>
          </span>
        ))}
        {tasks.length > shownTasks ? ` and ${formatNumber(tasks.length - shownTasks)} more` : ""}
      </p>
      {mayAct ? (
        <Confirm
          label="Retry these"
          title={`Retry ${plural(tasks.length, "task")}?`}
          action={`Retry ${plural(tasks.length, "task")}`}
          onConfirm={retry}
        >
          <p>They run again as new attempts of the same job. What was skipped because of them begins again too.</p>
        </Confirm>
      ) : null}
    </li>
  );
}
