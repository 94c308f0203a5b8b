import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { Attempt, Task } from "../../shared/api/schemas.ts";
import { ApiError } from "../../shared/api-client/index.ts";
import { formatBytes } from "../../shared/domain/format.ts";
import { isLogEndLost } from "../../shared/domain/lost-log.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { api } from "../api/client.ts";
import { useMay } from "../app/session.tsx";
import { useTitle } from "../app/title.ts";
import { LogView } from "../logs/log-view.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { ErrorPanel, explainError } from "../ui/error-panel.tsx";
import { Empty, Loading, Panel } from "../ui/panel.tsx";
import { nameMark, StatePill } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";
import { useLogSections } from "./use-log-sections.ts";
import { useTask, useTaskRead, useWhy } from "./use-task.ts";
import "./task.css";

const route = getRouteApi("/jobs/$job/tasks/$task");

/** One task: how it stands and why, its attempts, steps, logs and artifacts. */
export function TaskPage() {
  const { job, task: name } = route.useParams();
  const { attempt: chosen } = route.useSearch();
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
        </Empty>
      );
    }
    return <ErrorPanel title="The task could not be read" error={error} onRetry={() => refetch()} />;
  }
  const attempt = Math.min(Math.max(1, chosen ?? task.attempts.length), task.attempts.length);
  const record = task.attempts[attempt - 1];
  return (
    <>
      <TaskHead task={task} isStale={isStale} />
      <Why task={task} />
      {task.attempts.length > 1 ? <Attempts attempts={task.attempts} shown={attempt} /> : null}
      {record ? (
        <>
          <AttemptFacts record={record} isLast={attempt === task.attempts.length} />
          <Logs key={`${task.job}/${task.task}/${attempt}`} task={task} attempt={attempt} />
          <Artifacts task={task} attempt={attempt} />
        </>
      ) : (
        <Empty title="It has not started yet">
          <p>Its logs appear here as soon as a worker has taken it.</p>
        </Empty>
      )}
    </>
  );
}

function TaskHead({ task, isStale }: { task: Task; isStale: boolean }) {
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

function Why({ task }: { task: Task }) {
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

function Attempts({ attempts, shown }: { attempts: readonly Attempt[]; shown: number }) {
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
          <StatePill
            mark={outcome?.state ? markTask(outcome.state, outcome.warning) : outcome ? "queued" : "running"}
          />
        </Link>
      ))}
    </nav>
  );
}

function AttemptFacts({ record, isLast }: { record: Attempt; isLast: boolean }) {
  return (
    <dl className="facts attempt-facts">
      <div>
        <dt>started</dt>
        <dd>
          <Age at={record.claimedAt} />
        </dd>
      </div>
      <div>
        <dt>took</dt>
        <dd>
          <Span fromMs={Date.parse(record.claimedAt)} toMs={record.endedAt ? Date.parse(record.endedAt) : undefined} />
        </dd>
      </div>
      <div>
        <dt>worker</dt>
        <dd className="mono small">{record.workerId}</dd>
      </div>
      {record.outcome?.exitCode === undefined ? null : (
        <div>
          <dt>exit code</dt>
          <dd className="number">{record.outcome.exitCode}</dd>
        </div>
      )}
      {record.outcome?.reason && !isLast ? (
        <div className="wide">
          <dt>{record.outcome.reason.code}</dt>
          <dd className="reason">{record.outcome.reason.detail}</dd>
        </div>
      ) : null}
    </dl>
  );
}

function Artifacts({ task, attempt }: { task: Task; attempt: number }) {
  const kept = task.attempts[attempt - 1]?.artifacts ?? [];
  const links = useQuery({
    queryKey: ["artifacts", task.job, task.task, attempt, kept.length],
    queryFn: ({ signal }) => api.listArtifacts(task.job, task.task, { attempt }, { signal }),
    enabled: kept.length > 0,
    // Links expire; a page that is left open gets new ones.
    refetchInterval: 10 * 60_000,
  });
  if (kept.length === 0) return null;
  return (
    <Panel title="Artifacts">
      {links.error ? <p className="bad">The links could not be read: {links.error.message}</p> : null}
      <ul className="artifacts">
        {kept.map((artifact) => {
          const link = links.data?.artifacts.find(({ name }) => name === artifact.name);
          return (
            <li key={artifact.name}>
              {link ? (
                <a href={link.url} download={artifact.name}>
                  {artifact.name}
                </a>
              ) : (
                <span>{artifact.name}</span>
              )}
              <span className="number">{formatBytes(artifact.size)}</span>
              <span className="mono dim cut" title={artifact.sha256}>
                sha256 {artifact.sha256}
              </span>
              {artifact.incomplete ? <span className="bad">{artifact.incomplete}</span> : null}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

function Logs({ task, attempt }: { task: Task; attempt: number }) {
  const { line } = route.useSearch();
  const navigate = route.useNavigate();
  const { sections, error, refetch } = useLogSections(task, attempt);
  const record = task.attempts[attempt - 1];
  if (!sections && error) return <ErrorPanel title="The logs could not be read" error={error} onRetry={refetch} />;
  if (!sections) return <Loading what="the logs" />;
  return (
    <LogView
      job={task.job}
      task={task.task}
      attempt={attempt}
      sections={sections}
      isRunning={record?.endedAt === undefined}
      isEndLost={record !== undefined && isLogEndLost(record)}
      linked={line}
      onLink={(place) =>
        void navigate({ search: (before) => ({ ...before, attempt, line: place }), replace: true, resetScroll: false })
      }
    />
  );
}
