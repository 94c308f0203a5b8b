import { z } from "zod";
import type { Finding } from "../../shared/domain/finding.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { ControlPlaneError } from "../control-plane-call.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import { messageOf } from "../retry.ts";

const askDeadlineMs = 20_000;
/** Signed requests to AWS bear a few minutes, links to objects less; beyond this times in logs mislead. */
const mostSkewMs = 5_000;
const refusedSkewMs = 240_000;
const healthSchema = z.object({ version: z.string() });

export interface ExamineControlPlaneOptions {
  url: URL;
  version: string;
  client: Pick<ControlPlaneClient, "beat">;
  /** An id that no worker has. */
  unusedWorkerId: string;
  nowMs: () => number;
}

/** Whether the control plane answers, takes the token, and has the same time. */
export async function examineControlPlane(options: ExamineControlPlaneOptions): Promise<Finding[]> {
  const check = "control plane";
  const { url, nowMs } = options;
  const askedMs = nowMs();
  try {
    const healthUrl = new URL(`${url.pathname.replace(/\/$/, "")}/healthz`, url);
    const answer = await fetch(healthUrl, { redirect: "error", signal: AbortSignal.timeout(askDeadlineMs) });
    const health = healthSchema.safeParse(parseJson(await answer.text()));
    if (!answer.ok || !health.success) {
      const detail = `${url} answers ${answer.status}, and not as Sluice does: is SLUICE_URL right?`;
      return [{ check, status: "failed", detail }];
    }
    const { version } = health.data;
    return [
      version === options.version
        ? { check, status: "ok", detail: `${url}, version ${version}` }
        : { check, status: "warning", detail: `${url}, version ${version}; this worker is ${options.version}` },
      judgeClock(answer.headers.get("date"), askedMs, nowMs()),
      await examineToken(options),
    ];
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
    return [
      { check, status: "failed", detail: `${url} does not answer (${messageOf(error)}${cause}): is SLUICE_URL right?` },
    ];
  }
}

/** Judges this machine's clock by the date of an answer, which tells whole seconds between question and answer. */
export function judgeClock(date: string | null, askedMs: number, answeredMs: number): Finding {
  const check = "clock";
  const theirsMs = Date.parse(date ?? "");
  if (Number.isNaN(theirsMs)) return { check, status: "skipped", detail: "the answer has no date" };
  const skewMs = theirsMs + 999 < askedMs ? askedMs - theirsMs : Math.max(0, theirsMs - answeredMs);
  if (skewMs <= mostSkewMs) return { check, status: "ok", detail: "agrees with the control plane's" };
  const detail = `differs from the control plane's by ${Math.round(skewMs / 1000)} s: is a time service running?`;
  return { check, status: skewMs > refusedSkewMs ? "failed" : "warning", detail };
}

/** A heartbeat of a worker that nobody knows: whoever may send it is told that it is not known. */
async function examineToken({ client, unusedWorkerId }: ExamineControlPlaneOptions): Promise<Finding> {
  const check = "token";
  try {
    const beat = { state: "stopped" as const, slotsFree: 0, attempts: [] };
    await client.beat(unusedWorkerId, beat, { deadlineMs: askDeadlineMs });
    return { check, status: "ok", detail: "is taken" };
  } catch (error) {
    const status = error instanceof ControlPlaneError ? error.status : undefined;
    if (status === 404) return { check, status: "ok", detail: "is taken, with the role of a worker" };
    const advice = status === 401 || status === 403 ? ": `sluice tokens create` makes one with the role 'worker'" : "";
    return { check, status: "failed", detail: `${messageOf(error)}${advice}` };
  }
}
