import * as z from "zod";
import type { Finding } from "../../shared/domain/finding.ts";
import { timing } from "../../shared/domain/timing.ts";
import { oneLine } from "../terminal/one-line.ts";

/** What a check asks of a control plane: one GET, answered or not. */
export type Probe = (path: string) => Promise<ProbeAnswer>;

export interface ProbeAnswer {
  status: number;
  headers: Headers;
  /** The answer as JSON; undefined where it is none. */
  body: unknown;
}

export interface DoctorOptions {
  probe: Probe;
  /** Milliseconds since the epoch, by this machine's clock. */
  now: () => number;
  /** Version of this CLI. */
  version: string;
  /** Whether there is a token to ask with. */
  hasToken: boolean;
}

/** Presigned links and tokens bear a little of it; beyond this times shown here mislead. */
const mostSkewMs = 5_000;
/** More workers than this many hundreds are not needed to see whether one is alive. */
const mostPages = 20;
const problemSchema = z.object({ code: z.string(), detail: z.string() });
const versionSchema = z.object({ version: z.string() });
const workersSchema = z.object({
  workers: z.array(z.object({ pool: z.string(), state: z.string(), lastSeenAt: z.string() })),
  cursor: z.string().optional(),
});
const deadLettersSchema = z.object({ deadLetters: z.array(z.unknown()) });
const jobsSchema = z.object({ jobs: z.array(z.object({ pool: z.string(), status: z.string() })) });

/** Looks at a control plane from outside, as its users do; each check says what it found and what to do. */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  const { probe, hasToken } = options;
  let alive: ProbeAnswer;
  const askedMs = options.now();
  try {
    alive = await probe("/healthz");
  } catch (error) {
    const reason = error instanceof Error ? oneLine(error.message) : String(error);
    return [{ check: "API", status: "failed", detail: `does not answer: ${reason}; check --url or SLUICE_URL` }];
  }
  const answeredMs = options.now();
  const findings = [
    judgeApi(alive, options.version),
    judgeClock(alive, { askedMs, answeredMs }),
    judgeReady(await probe("/readyz")),
    judgeCaching(alive),
  ];
  if (!hasToken) {
    findings.push({ check: "token", status: "skipped", detail: "none given: set SLUICE_TOKEN for the other checks" });
    return findings;
  }
  const jobs = await probe("/v1/jobs?limit=50");
  findings.push(judgeToken(jobs));
  if (jobs.status !== 200) return findings;
  findings.push(judgeWorkers(await readWorkers(probe), jobs, options.now()));
  findings.push(judgeDeadLetters(await probe("/v1/admin/dead-letters?pool=default&limit=10")));
  return findings;
}

/** All workers, page by page, as one answer; the answer of the page that failed where one did. */
async function readWorkers(probe: Probe): Promise<ProbeAnswer> {
  const workers: unknown[] = [];
  for (let cursor: string | undefined, pages = 0; ; pages++) {
    const answer = await probe(`/v1/workers?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    const page = workersSchema.safeParse(answer.body).data;
    if (answer.status !== 200 || !page) return answer;
    workers.push(...page.workers);
    cursor = page.cursor;
    if (cursor === undefined || pages >= mostPages) return { ...answer, body: { workers } };
  }
}

function judgeApi({ status, body }: ProbeAnswer, ownVersion: string): Finding {
  const check = "API";
  const answer = versionSchema.safeParse(body);
  if (status !== 200 || !answer.success) {
    return { check, status: "failed", detail: `answers ${status}, and not as Sluice does: is the URL right?` };
  }
  const { version } = answer.data;
  if (version === ownVersion) return { check, status: "ok", detail: `version ${version}` };
  return { check, status: "warning", detail: `version ${oneLine(version)}, this CLI is ${ownVersion}` };
}

function judgeClock(
  { headers }: ProbeAnswer,
  { askedMs, answeredMs }: { askedMs: number; answeredMs: number },
): Finding {
  const check = "clock";
  const theirsMs = Date.parse(headers.get("date") ?? "");
  if (Number.isNaN(theirsMs)) return { check, status: "skipped", detail: "the answer has no date" };
  // The header tells whole seconds, and its moment lies somewhere between question and answer.
  const skewMs = theirsMs + 999 < askedMs ? askedMs - theirsMs : Math.max(0, theirsMs - answeredMs);
  if (skewMs <= mostSkewMs) return { check, status: "ok", detail: "agrees with this machine's" };
  const seconds = Math.round(skewMs / 1000);
  return {
    check,
    status: "warning",
    detail: `differs from this machine's by ${seconds} s: leases do not care, times shown do`,
  };
}

function judgeReady({ status, body }: ProbeAnswer): Finding {
  const check = "table";
  if (status === 200) return { check, status: "ok", detail: "answers" };
  return { check, status: "failed", detail: explain(status, body) };
}

/** What lies between here and the API must keep no answer: it knows nothing of tokens. */
function judgeCaching({ headers }: ProbeAnswer): Finding {
  const check = "caches";
  const keeps = headers.get("cache-control");
  if (keeps === "no-store") return { check, status: "ok", detail: "answers are not kept" };
  return { check, status: "failed", detail: `answers say ${keeps ?? "nothing"} of caching, not "no-store"` };
}

function judgeToken({ status, body }: ProbeAnswer): Finding {
  const check = "token";
  if (status === 200) return { check, status: "ok", detail: "is known, and may read" };
  return { check, status: "failed", detail: explain(status, body) };
}

function judgeWorkers(answer: ProbeAnswer, jobs: ProbeAnswer, nowMs: number): Finding {
  const check = "workers";
  const parsed = workersSchema.safeParse(answer.body);
  if (answer.status !== 200 || !parsed.success) return skipOrFail(check, answer);
  const live = parsed.data.workers.filter(
    ({ state, lastSeenAt }) =>
      state !== "stopped" && nowMs - Date.parse(lastSeenAt) < timing.workerSilentMs + mostSkewMs,
  );
  const pools = new Set(live.map(({ pool }) => pool));
  const waiting =
    jobsSchema.safeParse(jobs.body).data?.jobs.filter(({ status }) => status === "queued" || status === "running") ??
    [];
  const starved = [...new Set(waiting.map(({ pool }) => pool))].filter((pool) => !pools.has(pool));
  if (starved.length > 0) {
    return {
      check,
      status: "failed",
      detail: `jobs wait in ${starved.map(oneLine).join(", ")}, where no worker is alive`,
    };
  }
  const detail =
    live.length === 0
      ? "none is alive, and no job waits"
      : `${live.length} alive in ${[...pools].map(oneLine).join(", ")}`;
  return { check, status: "ok", detail };
}

function judgeDeadLetters(answer: ProbeAnswer): Finding {
  const check = "dead letters";
  const parsed = deadLettersSchema.safeParse(answer.body);
  if (answer.status !== 200 || !parsed.success) return skipOrFail(check, answer);
  const count = parsed.data.deadLetters.length;
  if (count === 0) return { check, status: "ok", detail: "none" };
  const many = count === 10 ? "10 or more" : String(count);
  return { check, status: "warning", detail: `${many} in the pool default: look at them, then redrive them` };
}

function skipOrFail(check: string, { status, body }: ProbeAnswer): Finding {
  if (status === 403) return { check, status: "skipped", detail: "this token may not look at them" };
  return { check, status: "failed", detail: explain(status, body) };
}

function explain(status: number, body: unknown): string {
  const problem = problemSchema.safeParse(body);
  return problem.success ? `${problem.data.code}: ${oneLine(problem.data.detail)}` : `answers ${status}`;
}
