import { getRouteApi, Link } from "@tanstack/react-router";
import { ApiError } from "../../shared/api-client/index.ts";
import type { JobView } from "../../shared/api-client/job-view.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { taskStates } from "../../shared/domain/task-state.ts";
import { api } from "../api/client.ts";
import type { JobFeed } from "../api/job-feed.ts";
import { useMay } from "../app/session.tsx";
import { useTitle } from "../app/title.ts";
import { Confirm } from "../ui/confirm.tsx";
import { CountsBar } from "../ui/counts-bar.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { nameMark, StateIcon, StatePill } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";
import { JobViews } from "./job-views.tsx";
import "./job.css";
import { useJobFeed } from "./use-job-feed.ts";

const route = getRouteApi("/jobs/$job");

/** One job, as it changes. */
export function JobPage() {
  const { job } = route.useParams();
  const feed = useJobFeed(job);
  const { view } = feed;
  useTitle(view ? `${view.name} ${nameMark(view.status)}` : job);
  if (!view) {
    if (feed.error) return <JobProblem job={job} error={feed.error} onRetry={feed.resume} />;
    return <Loading what={job} />;
  }
  return (
    <>
      <JobHead feed={feed} view={view} />
      {feed.error ? <ErrorPanel title="What follows is out of date" error={feed.error} onRetry={feed.resume} /> : null}
      <JobSummary view={view} />
      <JobViews feed={feed} view={view} />
    </>
  );
}

function JobProblem({ job, error, onRetry }: { job: string; error: Error; onRetry: () => void }) {
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Empty title="There is no such job">
        <p className="mono">{job}</p>
        <p>
          <Link to="/jobs">All jobs</Link>
        </p>
      </Empty>
    );
  }
  return <ErrorPanel title="The job could not be read" error={error} onRetry={onRetry} />;
}

function JobHead({ feed, view }: { feed: JobFeed; view: JobView }) {
  const mayAct = useMay("submitter");
  const ended = isTerminalJobState(view.status);
  const failed = view.counts.failed + view.counts.timed_out;
  const retry = async () => {
    await api.retryTasks(view.job, undefined, { idempotencyKey: crypto.randomUUID() });
    feed.resume();
  };
  return (
    <div className="page-head">
      <h1>
        {view.name} <span className="dim mono small">{view.job.slice(-26)}</span>
      </h1>
      <StatePill mark={view.status} />
      {feed.state === "stale" ? <span className="badge badge-stale">contact lost, trying again</span> : null}
      {view.cancel && !ended ? <span className="badge">being cancelled: {view.cancel.detail}</span> : null}
      <span className="grow" />
      {mayAct && !ended ? (
        <Confirm
          label="Cancel job"
          title={`Cancel ${view.name}?`}
          action="Cancel job"
          kind="danger"
          disabled={view.cancel !== undefined}
          onConfirm={() => api.cancelJob(view.job)}
        >
          <p>
            {plural(view.counts.running, "running task")} {view.counts.running === 1 ? "is" : "are"} ended; logs and
            output so far are kept. {plural(view.counts.queued + view.counts.pending, "waiting task")} will not start.
          </p>
        </Confirm>
      ) : null}
      {mayAct && failed > 0 ? (
        <Confirm
          label="Retry failed"
          title="Retry what failed?"
          action={`Retry ${plural(failed, "task")}`}
          onConfirm={retry}
        >
          <p>They run again as new attempts of the same job. What was skipped because of them begins again too.</p>
        </Confirm>
      ) : null}
    </div>
  );
}

function JobSummary({ view }: { view: JobView }) {
  return (
    <section className="summary" aria-label="Summary">
      <CountsBar counts={view.counts} total={view.total} large />
      <dl className="facts">
        {taskStates
          .filter((state) => view.counts[state] > 0)
          .map((state) => (
            <div key={state}>
              <dt>
                <StateIcon mark={state} /> {nameMark(state)}
              </dt>
              <dd className="number">{formatNumber(view.counts[state])}</dd>
            </div>
          ))}
        <div>
          <dt>tasks</dt>
          <dd className="number">{formatNumber(view.total)}</dd>
        </div>
        <div>
          <dt>took</dt>
          <dd>
            <Span fromMs={view.createdAtMs} toMs={view.endedAtMs} />
          </dd>
        </div>
        <div>
          <dt>submitted</dt>
          <dd>
            <Age at={view.createdAtMs} />
          </dd>
        </div>
        <div>
          <dt>pool</dt>
          <dd>{view.pool}</dd>
        </div>
      </dl>
    </section>
  );
}
