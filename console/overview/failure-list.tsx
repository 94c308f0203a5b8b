import { Link } from "@tanstack/react-router";
import type { Failures } from "../../shared/api/overview-schemas.ts";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import type { Fault } from "../../shared/domain/reason.ts";
import { nameReason } from "../../shared/domain/reason-words.ts";
import { Nothing } from "./live-panel.tsx";

const faultWords: Readonly<Record<Fault, string>> = {
  user: "fault of the job",
  infrastructure: "fault of the infrastructure",
};

/** Why attempts did not complete, the most frequent reason first; whose fault it is by shape and colour. */
export function FailureList({ failures: { reasons } }: { failures: Failures }) {
  if (reasons.length === 0) return <Nothing>No attempt has failed in the last 24 hours.</Nothing>;
  const most = Math.max(...reasons.map(({ attempts }) => attempts));
  return (
    <>
      <ul className="failures">
        {reasons.map(({ code, fault, attempts, jobs, lastJob }) => (
          <li key={`${code} ${fault}`}>
            <FaultIcon fault={fault} />
            <span className="cut" title={`${code}: ${faultWords[fault]}`}>
              {nameReason(code)} <span className="hidden">, {faultWords[fault]}</span>
            </span>
            <svg className="failure-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              <rect width={(100 * attempts) / most} height="8" className={`fault-${fault}`} />
            </svg>
            <span className="number right" title={`${plural(attempts, "attempt")} in ${plural(jobs, "job")}`}>
              {formatNumber(attempts)} <span className="dim less">in {plural(jobs, "job")}</span>
            </span>
            <Link to="/jobs/$job" params={{ job: lastJob }} data-row title={lastJob} className="right">
              newest<span className="hidden"> job with {nameReason(code)}</span>
            </Link>
          </li>
        ))}
      </ul>
      <p className="dim small failure-key">
        <span>
          <FaultIcon fault="user" /> fault of the job
        </span>
        <span>
          <FaultIcon fault="infrastructure" /> of the infrastructure
        </span>
      </p>
    </>
  );
}

function FaultIcon({ fault }: { fault: Fault }) {
  return (
    <svg className={`fault-icon fault-${fault}`} viewBox="0 0 12 12" width="11" height="11" aria-hidden="true">
      {fault === "user" ? <circle cx="6" cy="6" r="5" /> : <path d="M6 0l6 6-6 6-6-6z" />}
    </svg>
  );
}
