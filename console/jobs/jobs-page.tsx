import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { Job } from "../../shared/api/schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { isTerminalJobState, jobStates } from "../../shared/domain/job-state.ts";
import { followedJobs, type JobListFeed } from "../api/job-list-feed.ts";
import { useTitle } from "../app/title.ts";
import { Button } from "../ui/button.tsx";
import { CountsBar } from "../ui/counts-bar.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Empty, Loading } from "../ui/panel.tsx";
import { StatePill } from "../ui/state.tsx";
import { StateChips } from "../ui/state-chips.tsx";
import { Age, Span } from "../ui/time.tsx";
import { useJobs } from "./use-jobs.ts";

const route = getRouteApi("/jobs");

/** All jobs, the newest first, as they change. */
export function JobsPage() {
  useTitle("Jobs");
  const { status, search, by, within } = route.useSearch();
  const filter = useMemo(() => ({ status, search, by, since: sinceOf(within) }), [status, search, by, within]);
  const feed = useJobs(filter);
  const { jobs, older, state, isReading, restart } = feed;
  const error = feed.error ?? feed.olderError;
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  return (
    <>
      <div className="page-head">
        <h1>Jobs</h1>
        {state === "stale" ? <span className="badge badge-stale">contact lost, trying again</span> : null}
      </div>
      <Filters />
      {error ? <ErrorPanel title="The jobs could not be read" error={error} onRetry={restart} /> : null}
      {jobs.length > 0 ? <JobTable feed={feed} /> : null}
      {jobs.length === 0 && isReading ? <Loading what="jobs" /> : null}
      {jobs.length === 0 && !isReading && !error && older === undefined ? <NoJobs isFiltered={isFiltered} /> : null}
      {jobs.length === 0 && !isReading && older !== undefined ? (
        <p className="dim">No job is like that among those that were looked at.</p>
      ) : null}
      {older !== undefined ? (
        <Button className="more" disabled={isReading} onClick={() => void feed.readOlder()}>
          {isReading ? "Reading…" : "Older jobs"}
        </Button>
      ) : null}
    </>
  );
}

/** How far back the list goes, by what the address says; from the start of the minute, so that it stays the same. */
const spans = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 } as const;

function sinceOf(within: keyof typeof spans | undefined): string | undefined {
  if (within === undefined) return undefined;
  return new Date(Math.floor((Date.now() - spans[within]) / 60_000) * 60_000).toISOString();
}

function Filters() {
  const { status, search, by, within } = route.useSearch();
  const navigate = route.useNavigate();
  const [text, setText] = useState(search ?? "");
  // The way back, and the link to all jobs, change what is searched for as well.
  useEffect(() => setText(search ?? ""), [search]);
  return (
    <form
      className="filters"
      onSubmit={(event) => {
        event.preventDefault();
        void navigate({ search: (before) => ({ ...before, search: text.trim() || undefined }) });
      }}
    >
      <input
        data-search
        type="search"
        placeholder="Name or id of the job"
        aria-label="Name or id of the job"
        value={text}
        onChange={({ target }) => {
          setText(target.value);
          if (target.value === "") void navigate({ search: (before) => ({ ...before, search: undefined }) });
        }}
      />
      <StateChips
        states={jobStates}
        chosen={status}
        onChoose={(state) => void navigate({ search: (before) => ({ ...before, status: state }) })}
      />
      <select
        aria-label="Submitted within"
        value={within ?? ""}
        onChange={({ target }) => {
          const chosen = target.value === "" ? undefined : (target.value as keyof typeof spans);
          void navigate({ search: (before) => ({ ...before, within: chosen }) });
        }}
      >
        <option value="">any time</option>
        <option value="1h">the last hour</option>
        <option value="24h">the last day</option>
        <option value="7d">the last week</option>
      </select>
      {by === undefined ? null : (
        <button
          type="button"
          className="chip"
          aria-pressed="true"
          onClick={() => void navigate({ search: (before) => ({ ...before, by: undefined }) })}
        >
          by {by} ✕
        </button>
      )}
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

function JobTable({ feed }: { feed: JobListFeed }) {
  const { jobs, olderReadAtMs } = feed;
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
        {jobs.slice(0, followedJobs).map((job) => (
          <JobRow key={job.job} job={job} />
        ))}
        {olderReadAtMs !== undefined && jobs.length > followedJobs ? (
          <tr className="table-note">
            <td colSpan={7}>
              The newest {followedJobs} are live. Those below are as they were <Age at={olderReadAtMs} />.{" "}
              <Button kind="quiet" disabled={feed.isReading} onClick={() => void feed.rereadOlder()}>
                Read them again
              </Button>
            </td>
          </tr>
        ) : null}
        {jobs.slice(followedJobs).map((job) => (
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
      <td className="cut">
        <Link from="/jobs" to="/jobs" search={(before) => ({ ...before, by: job.submittedBy })} className="plain">
          {job.submittedBy}
        </Link>
      </td>
      <td className="right">
        <Age at={job.createdAt} />
      </td>
    </tr>
  );
}
