import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Job } from "../../shared/api/schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { isTerminalJobState, jobStates } from "../../shared/domain/job-state.ts";
import { api } from "../api/client.ts";
import { Button } from "../ui/button.tsx";
import { CountsBar } from "../ui/counts-bar.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { nameMark, StateIcon, StatePill } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";

const route = getRouteApi("/jobs");
const refreshMs = 3_000;

/** All jobs, the newest first. */
export function JobsPage() {
  const { status, name } = route.useSearch();
  const jobs = useInfiniteQuery({
    queryKey: ["jobs", { status, name }],
    queryFn: ({ pageParam, signal }) => api.listJobs({ status, name, cursor: pageParam, limit: 50 }, { signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.cursor,
    placeholderData: keepPreviousData,
    refetchInterval: refreshMs,
  });
  const rows = jobs.data?.pages.flatMap((page) => page.jobs) ?? [];
  return (
    <>
      <div className="page-head">
        <h1>Jobs</h1>
        {jobs.isError && jobs.data ? <span className="badge badge-stale">out of date, trying again</span> : null}
      </div>
      <Filters />
      {jobs.error && !jobs.data ? (
        <ErrorPanel title="The jobs could not be read" error={jobs.error} onRetry={() => jobs.refetch()} />
      ) : jobs.isPending ? (
        <Loading what="jobs" />
      ) : rows.length === 0 && !jobs.hasNextPage ? (
        <NoJobs isFiltered={status !== undefined || name !== undefined} />
      ) : (
        <JobTable jobs={rows} />
      )}
      {jobs.hasNextPage ? (
        <Button className="more" disabled={jobs.isFetchingNextPage} onClick={() => jobs.fetchNextPage()}>
          {jobs.isFetchingNextPage ? "Reading…" : "Older jobs"}
        </Button>
      ) : null}
    </>
  );
}

function Filters() {
  const { status, name } = route.useSearch();
  const navigate = route.useNavigate();
  const [text, setText] = useState(name ?? "");
  return (
    <form
      className="filters"
      onSubmit={(event) => {
        event.preventDefault();
        void navigate({ search: (before) => ({ ...before, name: text.trim() || undefined }) });
      }}
    >
      <input
        data-search
        type="search"
        placeholder="Name of the job"
        aria-label="Name of the job"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <fieldset className="chips">
        <legend className="hidden">State</legend>
        {jobStates.map((state) => (
          <button
            key={state}
            type="button"
            className="chip"
            aria-pressed={status === state}
            onClick={() =>
              void navigate({ search: (before) => ({ ...before, status: status === state ? undefined : state }) })
            }
          >
            <StateIcon mark={state} /> {nameMark(state)}
          </button>
        ))}
      </fieldset>
    </form>
  );
}

function NoJobs({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <Empty title="No job is like that">
        <p>
          <Link to="/jobs">Show all jobs</Link>
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No job yet">
      <p>Submit one from a terminal:</p>
      <pre>npx --no sluice run examples/hello.yaml</pre>
    </Empty>
  );
}

function JobTable({ jobs }: { jobs: readonly Job[] }) {
  return (
    <table className="table jobs-table">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Job</th>
          <th scope="col">Tasks</th>
          <th scope="col" className="right">
            Took
          </th>
          <th scope="col">Pool</th>
          <th scope="col">By</th>
          <th scope="col" className="right">
            Submitted
          </th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <JobRow key={job.job} job={job} />
        ))}
      </tbody>
    </table>
  );
}

function JobRow({ job }: { job: Job }) {
  const ended = isTerminalJobState(job.status);
  return (
    <tr>
      <td>
        <StatePill mark={job.status} />
      </td>
      <td className="cut">
        <Link to="/jobs/$job" params={{ job: job.job }} data-row title={job.job}>
          <strong>{job.name}</strong> <span className="dim mono">{job.job.slice(-8)}</span>
        </Link>
      </td>
      <td>
        <CountsBar counts={job.counts} total={job.total} />{" "}
        <span className="number dim">
          {formatNumber(job.total - job.counts.pending - job.counts.queued - job.counts.running)}/
          {formatNumber(job.total)}
        </span>
      </td>
      <td className="right">
        {job.startedAt ? (
          <Span fromMs={Date.parse(job.startedAt)} toMs={ended && job.endedAt ? Date.parse(job.endedAt) : undefined} />
        ) : (
          "–"
        )}
      </td>
      <td>{job.pool}</td>
      <td className="cut">{job.submittedBy}</td>
      <td className="right">
        <Age at={job.createdAt} />
      </td>
    </tr>
  );
}
