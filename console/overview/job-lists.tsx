import { Link } from "@tanstack/react-router";
import type { Job } from "../../shared/api/schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { CountsBar } from "../ui/counts-bar.tsx";
import { nameMark, StateIcon } from "../ui/state.tsx";
import { Age, Span } from "../ui/time.tsx";
import { Nothing } from "./live-panel.tsx";

/** Jobs that are queued or running. */
export function ActiveJobs({ jobs }: { jobs: readonly Job[] }) {
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
          <span className="dim cut job-pool">{job.pool}</span>
          <span className="right">
            <Span fromMs={Date.parse(job.createdAt)} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Jobs that have ended, the newest end first. */
export function EndedJobs({ jobs }: { jobs: readonly Job[] }) {
  if (jobs.length === 0) return <Nothing>No job has ended lately.</Nothing>;
  return (
    <ul className="job-list">
      {jobs.map((job) => (
        <li key={job.job} className="job-ended">
          <JobLink job={job} />
          <span className="dim number job-outcome cut">{tellOutcome(job)}</span>
          <span className="right">
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
