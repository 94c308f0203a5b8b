import { Link } from "@tanstack/react-router";
import type { Job } from "../../shared/api/schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { CountsBar } from "../ui/counts-bar.tsx";
import { nameMark, StateIcon } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";
import { Nothing } from "./live-panel.tsx";

/** Jobs that are queued or running; `isFirst`: no other has been there lately. */
export function ActiveJobs({ jobs, isFirst }: { jobs: readonly Job[]; isFirst: boolean }) {
  if (jobs.length === 0 && isFirst) {
    return (
      <Nothing>
        No job yet. Submit one from a terminal: <code>npx --no sluice run examples/hello.yaml</code>
      </Nothing>
    );
  }
  if (jobs.length === 0) return <Nothing>No job is running or waiting.</Nothing>;
  return (
    <ul className="job-list">
      {jobs.map((job) => (
        <li key={job.job} className="job-active">
          <JobLink job={job} />
          <span className="job-progress">
            <CountsBar counts={job.counts} total={job.total} />
            <span className="number dim">
              {formatNumber(job.total - job.counts.pending - job.counts.queued - job.counts.running)}/
              {formatNumber(job.total)}
            </span>
          </span>
          <span className="dim cut less">{job.pool}</span>
          <span className="right">
            <Span fromMs={Date.parse(job.createdAt)} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** There is a page of all of them. */
const shownEnded = 5;

/** Jobs that have ended, the newest end first. */
export function EndedJobs({ jobs }: { jobs: readonly Job[] }) {
  if (jobs.length === 0) return <Nothing>No job has ended lately.</Nothing>;
  return (
    <ul className="job-list">
      {jobs.slice(0, shownEnded).map((job) => (
        <li key={job.job} className="job-ended">
          <JobLink job={job} />
          <span className="dim number cut less">{tellOutcome(job)}</span>
          <span className="right less">
            {job.endedAt ? (
              <Span fromMs={Date.parse(job.startedAt ?? job.createdAt)} toMs={Date.parse(job.endedAt)} />
            ) : null}
          </span>
          <span className="right dim">{job.endedAt ? <Age at={job.endedAt} /> : null}</span>
        </li>
      ))}
    </ul>
  );
}

function JobLink({ job }: { job: Job }) {
  return (
    <span className="job-name cut">
      <span className={`state-${job.status}`}>
        <StateIcon mark={job.status} />
        <span className="hidden">{nameMark(job.status)}</span>
      </span>{" "}
      <Link to="/jobs/$job" params={{ job: job.job }} data-row title={`${job.name}, ${job.job}`}>
        <strong>{job.name}</strong> <span className="dim mono small">{job.job.slice(-8)}</span>
      </Link>
    </span>
  );
}

/** What did not complete, else how many did. */
function tellOutcome({ counts, total }: Job): string {
  const parts = (["failed", "timed_out", "aborted", "skipped"] as const)
    .filter((state) => counts[state] > 0)
    .map((state) => `${formatNumber(counts[state])} ${nameMark(state)}`);
  return parts.length === 0 ? `${formatNumber(total)} completed` : `${parts.join(", ")} of ${formatNumber(total)}`;
}
