import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { z } from "zod";
import { problemSchema } from "../shared/api/schemas.ts";
import {
  type AttemptResult,
  claimAnswerSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatAnswerSchema,
  type RegisterWorker,
  type ResultAnswer,
  resultAnswerSchema,
  resultAnswersSchema,
  type TaskClaimRequest,
  type WorkerSettings,
  workerSettingsSchema,
} from "../shared/api/worker-schemas.ts";
import { parseJson } from "../shared/parse-json.ts";
import { type CallOptions, ControlPlaneError } from "./control-plane-call.ts";
import { ClockSkew } from "./health/clock-skew.ts";
import { ResultReports } from "./result-reports.ts";
import type { Secret } from "./secret.ts";
import { type WorkerClaim, wrapSecrets } from "./worker-claim.ts";

/**
 * The routes of the control plane that workers use. Each call is tried once; callers know when to try again. Results
 * that are reported at about the same time share a request.
 */
export interface ControlPlaneClient {
  register(worker: RegisterWorker, options: CallOptions): Promise<WorkerSettings>;
  beat(workerId: string, heartbeat: Heartbeat, options: CallOptions): Promise<HeartbeatAnswer>;
  claim(workerId: string, claims: readonly TaskClaimRequest[], options: CallOptions): Promise<WorkerClaim[]>;
  reportResult(attemptId: string, result: AttemptResult, options: CallOptions): Promise<ResultAnswer>;
  /** How far this machine's clock is ahead of the control plane's; undefined where no answer told of late. */
  readonly clockSkewMs: number | undefined;
  close(): void;
}

/** Answers are small; more than this is not from a control plane. */
const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * A client that keeps its connections: a claim must not pay for a TLS handshake, and the built-in `fetch` drops idle
 * connections after 4 seconds, less than a heartbeat apart. Where the token can be read again, a call that it is refused
 * for is made once more with the new one, and counts as one to repeat where there is none yet.
 */
export function createControlPlaneClient(
  baseUrl: URL,
  firstToken: Secret,
  readToken?: () => Secret | undefined,
): ControlPlaneClient {
  let token = firstToken;
  const secure = baseUrl.protocol === "https:";
  const agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const send = secure ? httpsRequest : httpRequest;
  const clock = new ClockSkew(() => performance.now());

  const post = <T>(path: string, body: unknown, schema: z.ZodType<T>, options: CallOptions) =>
    postText(path, JSON.stringify(body), schema, options);

  async function postText<T>(path: string, text: string, schema: z.ZodType<T>, options: CallOptions): Promise<T> {
    const used = token;
    try {
      return await postOnce(path, text, schema, options);
    } catch (error) {
      if (readToken === undefined || !(error instanceof ControlPlaneError) || error.status !== 401) throw error;
      // Another call may have read it meanwhile.
      if (token === used) {
        const renewed = readToken();
        if (renewed === undefined || renewed.reveal() === used.reveal()) {
          throw new ControlPlaneError(error.message, { status: 401, retryable: true, cause: error });
        }
        token = renewed;
      }
      return postOnce(path, text, schema, options);
    }
  }

  async function postOnce<T>(path: string, text: string, schema: z.ZodType<T>, options: CallOptions): Promise<T> {
    const payload = Buffer.from(text);
    const deadline = AbortSignal.timeout(options.deadlineMs);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
    const url = new URL(baseUrl.pathname.replace(/\/$/, "") + path, baseUrl);
    const sentMs = Date.now();
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = send(url, {
          method: "POST",
          agent,
          signal,
          headers: {
            "content-type": "application/json",
            "content-length": payload.length,
            accept: "application/json",
            authorization: `Bearer ${token.reveal()}`,
          },
        });
        request.on("response", resolve);
        request.on("error", reject);
        request.end(payload);
      });
      clock.note(answer.headers.date, sentMs, Date.now());
      return readAnswer(answer.statusCode ?? 0, await readText(answer), schema, path);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof ControlPlaneError) throw error;
      const cause = deadline.aborted ? `no answer within ${options.deadlineMs} ms` : String(error);
      throw new ControlPlaneError(`POST ${url.origin}${path}: ${cause}`, { retryable: true, cause: error });
    }
  }

  const reports = new ResultReports({
    sendOne: (attemptId, result, options) =>
      post(`/v1/attempts/${encodeURIComponent(attemptId)}/result`, result, resultAnswerSchema, options),
    sendMany: async (results, options) =>
      (await postText("/v1/attempts/results", results, resultAnswersSchema, options)).results,
  });

  return {
    register: (worker, options) => post("/v1/workers", worker, workerSettingsSchema, options),
    beat: (workerId, heartbeat, options) =>
      post(`/v1/workers/${workerId}/heartbeat`, heartbeat, heartbeatAnswerSchema, options),
    claim: async (workerId, claims, options) =>
      wrapSecrets(await post(`/v1/workers/${workerId}/claims`, { claims }, claimAnswerSchema, options)),
    reportResult: (attemptId, result, options) => reports.report(attemptId, result, options),
    get clockSkewMs() {
      return clock.skewMs;
    },
    close: () => agent.destroy(),
  };
}

async function readText(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function readAnswer<T>(status: number, text: string, schema: z.ZodType<T>, path: string): T {
  if (status >= 200 && status < 300) {
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new ControlPlaneError(
      `POST ${path} answered ${status} with something else than expected: ${issue?.path.join(".")} ${issue?.message}`,
      { status, retryable: true },
    );
  }
  const problem = problemSchema.safeParse(parseJson(text));
  const detail = problem.success ? `${problem.data.code}: ${problem.data.detail}` : text.slice(0, 200);
  const retryable = status >= 500 || status === 408 || status === 429;
  throw new ControlPlaneError(`POST ${path} answered ${status}: ${detail}`, { status, retryable });
}
