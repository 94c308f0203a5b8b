import { Link } from "@tanstack/react-router";
import type { Attempt, Task } from "../../shared/api/schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { nameReason } from "../../shared/domain/reason-words.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { api } from "../api/client.ts";
import { useMay } from "../app/session.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { StateIcon, StatePill } from "../ui/state.tsx";
import { useNeighbours } from "./use-neighbours.ts";
import { useTaskRead, useWhy } from "./use-task.ts";

/** Which task it is, how it stands, and what can be done about it. */
export function TaskHead({ task, isStale }: { task: Task; isStale: boolean }) {
  const mayAct = useMay("submitter");
  const { refetch } = useTaskRead(task.job, task.task);
  const ended = isTerminalTaskState(task.status);
  const cancel = async () => {
    await api.cancelTask(task.job, task.task);
    await refetch();
  };
  const retry = async () => {
    await api.retryTasks(task.job, [task.task], { idempotencyKey: crypto.randomUUID() });
    await refetch();
  };
  return (
    <div className="page-head">
      <h1>
        <Link to="/jobs/$job" params={{ job: task.job }} className="parent">
          {task.job.slice(0, -27)} <span className="dim mono small">{task.job.slice(-8)}</span>
        </Link>{" "}
        <span className="dim">/</span> {task.task}
      </h1>
      <StatePill mark={markTask(task.status, task.warning)} />
      {isStale ? <span className="badge badge-stale">contact lost, trying again</span> : null}
      {task.cancelRequestedAt && !ended ? <span className="badge">being cancelled</span> : null}
      <span className="grow" />
      <Neighbours job={task.job} task={task.task} />
      {mayAct && !ended ? (
        <Confirm
          label="Cancel task"
          title={`Cancel ${task.task}?`}
          action="Cancel task"
          kind="danger"
          disabled={task.cancelRequestedAt !== undefined}
          onConfirm={cancel}
        >
          <p>It is ended within seconds; its logs and output so far are kept.</p>
        </Confirm>
      ) : null}
      {mayAct && ended ? (
        <Confirm label="Retry" title={`Run ${task.task} again?`} action="Run again" onConfirm={retry}>
          <p>It runs as a new attempt of the same job. What was skipped because of it begins again too.</p>
        </Confirm>
      ) : null}
    </div>
  );
}

/** The way to the tasks before and after it. */
function Neighbours({ job, task }: { job: string; task: string }) {
  const neighbours = useNeighbours(job, task);
  if (!neighbours) return null;
  const { place, count, before, after } = neighbours;
  return (
    <nav className="neighbours" aria-label="Tasks of the job">
      <Neighbour job={job} task={before} label="Task before" sign="‹" />
      <span className="dim number">
        {formatNumber(place)} of {formatNumber(count)}
      </span>
      <Neighbour job={job} task={after} label="Task after" sign="›" />
    </nav>
  );
}

function Neighbour({ job, task, label, sign }: { job: string; task: string | undefined; label: string; sign: string }) {
  if (task === undefined) {
    return (
      <span className="button neighbour-none" aria-hidden="true">
        {sign}
      </span>
    );
  }
  return (
    <Link
      to="/jobs/$job/tasks/$task"
      params={{ job, task }}
      search={{}}
      className="button"
      aria-label={`${label}: ${task}`}
      title={task}
    >
      {sign}
    </Link>
  );
}

/** Why it waits or ended so, in a sentence. */
export function Why({ task }: { task: Task }) {
  const why = useWhy(task);
  if (task.status === "completed") return null;
  if (why.error) return <p className="why dim">Why it stands so could not be read: {explainError(why.error)}</p>;
  if (!why.data) return null;
  const fault = task.reason?.fault;
  return (
    <section className="why" aria-label="Why">
      <p>{why.data.summary}</p>
      {fault ? (
        <p className="dim">
          {task.reason?.code}: {fault === "user" ? "the job's own" : "of the infrastructure"}
        </p>
      ) : null}
    </section>
  );
}

/** The attempts of a task, to choose the one that is shown. */
export function Attempts({ attempts, shown }: { attempts: readonly Attempt[]; shown: number }) {
  return (
    <nav className="attempts" aria-label="Attempts">
      {attempts.map(({ attempt, outcome }) => (
        <Link
          key={attempt}
          to="/jobs/$job/tasks/$task"
          from="/jobs/$job/tasks/$task"
          search={(before) => ({ ...before, attempt, line: undefined })}
          aria-current={attempt === shown ? "true" : undefined}
        >
          <span>Attempt {attempt}</span>
          <HowItEnded outcome={outcome} />
        </Link>
      ))}
    </nav>
  );
}

/** Of an attempt that did not end its task, the task's next state would say nothing: it tells why it was over. */
function HowItEnded({ outcome }: Pick<Attempt, "outcome">) {
  if (!outcome) return <StatePill mark="running" />;
  if (outcome.state) return <StatePill mark={markTask(outcome.state, outcome.warning)} />;
  return (
    <span className="state-pill dim">
      <StateIcon mark="queued" />
      {outcome.reason ? nameReason(outcome.reason.code) : "given back"}
    </span>
  );
}
