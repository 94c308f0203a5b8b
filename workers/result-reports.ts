import type { AttemptResult, ResultAnswer, ResultAnswers } from "../shared/api/worker-schemas.ts";
import { limits } from "../shared/domain/limits.ts";
import { type CallOptions, ControlPlaneError } from "./control-plane-call.ts";

/** How results are sent: one by its attempt's id, or several as the JSON text of their request. */
export interface ResultCalls {
  sendOne(attemptId: string, result: AttemptResult, options: CallOptions): Promise<ResultAnswer>;
  sendMany(results: string, options: CallOptions): Promise<ResultAnswers["results"]>;
}

interface Report {
  attemptId: string;
  result: AttemptResult;
  options: CallOptions;
  resolve: (answer: ResultAnswer) => void;
  reject: (error: unknown) => void;
}

/** No result waits longer for a request under way; a control plane that is slow to answer gets another request. */
const longestWaitMs = 50;
/** Well below what a request may have; a result that is larger goes alone. */
const requestBytes = 1024 * 1024;

/**
 * Reports results. One that comes alone is sent at once; those that come while it is under way follow together: the
 * faster tasks end, the more of them share a request.
 */
export class ResultReports {
  readonly #calls: ResultCalls;
  readonly #waiting: Report[] = [];
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(calls: ResultCalls) {
    this.#calls = calls;
  }

  report(attemptId: string, result: AttemptResult, options: CallOptions): Promise<ResultAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ attemptId, result, options, resolve, reject });
      if (this.#underWay === 0 || this.#waiting.length >= limits.resultsPerCall) this.#sendWaiting();
      else this.#timer ??= setTimeout(() => this.#sendWaiting(), longestWaitMs);
    });
  }

  #sendWaiting(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting.length > 0) void this.#send(this.#waiting.splice(0, limits.resultsPerCall));
  }

  async #send(reports: readonly Report[]): Promise<void> {
    this.#underWay++;
    const together: { report: Report; json: string }[] = [];
    const alone: Report[] = [];
    let bytes = 0;
    for (const report of reports) {
      const json = JSON.stringify({ attemptId: report.attemptId, ...report.result });
      const size = Buffer.byteLength(json);
      if (bytes + size > requestBytes || reports.length === 1) alone.push(report);
      else {
        together.push({ report, json });
        bytes += size;
      }
    }
    await Promise.all([this.#sendTogether(together), ...alone.map((report) => this.#sendAlone(report))]);
    this.#underWay--;
    if (this.#underWay === 0) this.#sendWaiting();
  }

  async #sendTogether(batch: readonly { report: Report; json: string }[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    try {
      const results = `{"results":[${batch.map(({ json }) => json).join(",")}]}`;
      // All come from one worker and are given up together; who is given up early for another's sake tries again.
      const answers = await this.#calls.sendMany(results, first.report.options);
      for (const [index, { report }] of batch.entries()) settle(report, answers[index]);
    } catch (error) {
      // A request that is refused as a whole tells nothing about each: the one at fault hears of it by itself.
      const refused = error instanceof ControlPlaneError && !error.retryable;
      if (refused) await Promise.all(batch.map(({ report }) => this.#sendAlone(report)));
      else for (const { report } of batch) report.reject(error);
    }
  }

  #sendAlone({ attemptId, result, options, resolve, reject }: Report): Promise<void> {
    return this.#calls.sendOne(attemptId, result, options).then(resolve, reject);
  }
}

function settle(report: Report, answer: ResultAnswers["results"][number] | undefined): void {
  if (answer !== undefined && answer.status !== "failed") report.resolve(answer);
  else report.reject(new ControlPlaneError(answer?.detail ?? "a result was left unanswered", { retryable: true }));
}
