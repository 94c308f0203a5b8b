import { getRouteApi, Link } from "@tanstack/react-router";
import type { Task } from "../../shared/api/schemas.ts";
import { ApiError } from "../../shared/api-client/index.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { useSpec } from "../api/use-spec.ts";
import { useTitle } from "../app/title.ts";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { nameMark } from "../ui/state.tsx";
import { ArtifactsPanel } from "./artifacts-panel.tsx";
import { AttemptFacts } from "./attempt-facts.tsx";
import { EnvironmentPanel } from "./environment-panel.tsx";
import { StepsPanel } from "./steps-panel.tsx";
import { Attempts, TaskHead, Why } from "./task-head.tsx";
import { TaskLogs } from "./task-logs.tsx";
import { UsePanel } from "./use-panel.tsx";
import { useTask } from "./use-task.ts";
import "./task.css";

const route = getRouteApi("/jobs/$job/tasks/$task");

/** One task: how it stands and why, and of the attempt that is chosen what it did, printed, used and left. */
export function TaskPage() {
  const { job, task: name } = route.useParams();
  const { data: task, error, refetch, isStale } = useTask(job, name);
  useTitle(task ? `${name} ${nameMark(markTask(task.status, task.warning))}` : name);
  if (!task) {
    if (!error) return <Loading what={name} />;
    if (error instanceof ApiError && error.status === 404) {
      return (
        <Empty title="There is no such task">
          <p className="mono">
            {job} {name}
          </p>
          <p>
            <Link to="/jobs/$job" params={{ job }}>
              Its job
            </Link>
          </p>
        </Empty>
      );
    }
    return <ErrorPanel title="The task could not be read" error={error} onRetry={() => refetch()} />;
  }
  return (
    <>
      <TaskHead task={task} isStale={isStale} />
      <Why task={task} />
      <TaskBody key={`${task.job}/${task.task}`} task={task} />
    </>
  );
}

function TaskBody({ task }: { task: Task }) {
  const { attempt: chosen } = route.useSearch();
  const { data: answer } = useSpec(task.job);
  const spec = answer?.spec;
  const attempt = Math.min(Math.max(1, chosen ?? task.attempts.length), task.attempts.length);
  const record = task.attempts[attempt - 1];
  return (
    <>
      {task.attempts.length > 1 ? <Attempts attempts={task.attempts} shown={attempt} /> : null}
      {record ? (
        <>
          <AttemptFacts record={record} isLast={attempt === task.attempts.length} />
          {spec ? <StepsPanel task={task} spec={spec} record={record} /> : null}
          <TaskLogs key={attempt} task={task} attempt={attempt} />
          <UsePanel key={`use ${attempt}`} task={task} record={record} spec={spec} />
          <ArtifactsPanel key={`artifacts ${attempt}`} task={task} attempt={attempt} />
        </>
      ) : (
        <Empty title="It has not started yet">
          <p>Its steps and logs appear here as soon as a worker has taken it.</p>
        </Empty>
      )}
      {spec ? <EnvironmentPanel spec={spec} task={task} /> : null}
    </>
  );
}
