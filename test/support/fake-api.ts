import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type ErrorCode, errorStatus } from "../../shared/domain/errors.ts";
import type { JobSpec } from "../../shared/jobfile/job-spec.ts";
import { createFakeJob, type FakeJob } from "./fake-job.ts";
import { answerApi, answerStore, type FakeAnswer, Refusal } from "./fake-routes.ts";

/** A request as it came in. */
export interface RecordedRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
}

/** What goes wrong with the next request that fits, once. */
export interface Fault {
  method?: string;
  path: RegExp;
  /** Answers with this error and these headers … */
  code?: ErrorCode;
  headers?: Record<string, string>;
  /** … or never answers, and does nothing … */
  stalls?: boolean;
  /** … or does what was asked and cuts the connection before the answer … */
  cutAnswer?: boolean;
  /** … or cuts it in its middle … */
  cutMidway?: boolean;
  /** … or cuts a stream after so many messages. */
  cutAfterMessages?: number;
}

/**
 * The API over real HTTP with a state that tests write: the contract of routes and bodies, none of the machinery.
 * Streams, presigned links and faults are as real as the wire.
 */
export interface FakeApi {
  readonly url: string;
  readonly token: string;
  readonly requests: RecordedRequest[];
  /** Newest first. */
  readonly jobs: FakeJob[];
  /** Blobs of images, as they were uploaded, by digest. */
  readonly images: Map<string, Buffer>;
  /** Parts of blobs that are being uploaded, by path; those of a larger blob than `pieceBytes` come in parts. */
  readonly parts: Map<string, Buffer>;
  pieceBytes: number;
  /** Objects behind presigned links by path; a test may put something else there than was promised. */
  readonly objects: Map<string, Buffer>;
  /** Called once a new job was answered; moves its tasks. */
  onSubmit: (job: FakeJob, spec: JobSpec) => void;
  /** Called once somebody asked for the end of a job. */
  onCancel: (job: FakeJob) => void;
  addJob(name: string, tasks: readonly string[]): FakeJob;
  fail(fault: Fault): void;
  close(): Promise<void>;
}

/** Starts the fake on a port of the system's choosing. */
export async function startFakeApi(): Promise<FakeApi> {
  const faults: Fault[] = [];
  const submissions = new Map<string, FakeJob>();
  const server = createServer((request, response) => {
    serve(fake, faults, submissions, request, response).catch((error: unknown) => {
      response.destroy();
      // A client that went away is what some tests are about; anything else is a fault of the fake.
      if (!request.destroyed) throw error;
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const fake: FakeApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: "fake-token",
    requests: [],
    jobs: [],
    images: new Map(),
    parts: new Map(),
    pieceBytes: Number.POSITIVE_INFINITY,
    objects: new Map(),
    onSubmit: () => undefined,
    onCancel: () => undefined,
    addJob: (name, tasks) => {
      const job = createFakeJob(name, tasks);
      fake.jobs.unshift(job);
      return job;
    },
    fail: (fault) => faults.push(fault),
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return fake;
}

async function serve(
  fake: FakeApi,
  faults: Fault[],
  submissions: Map<string, FakeJob>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
  const { method = "GET", headers } = request;
  const { pathname: path, searchParams: query } = new URL(request.url ?? "/", fake.url);
  const isStore = path.startsWith("/store/") || path.startsWith("/upload/");
  const recorded: RecordedRequest = { method, path, query, headers, body: isStore ? "" : body.toString("utf8") };
  fake.requests.push(recorded);
  const at = faults.findIndex((candidate) => (candidate.method ?? method) === method && candidate.path.test(path));
  const fault = at < 0 ? undefined : faults.splice(at, 1)[0];
  try {
    if (fault?.stalls) return;
    if (fault?.code) throw new Refusal(fault.code, "a fault that the test asked for");
    const answer = isStore ? answerStore(fake, recorded, body) : await answerApi(fake, submissions, recorded);
    if (fault?.cutAnswer) response.destroy();
    else send(response, answer, fault);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const status = errorStatus[error.code];
    const problem = { type: "about:blank", title: error.code, status, code: error.code, detail: error.message };
    response.writeHead(status, { "content-type": "application/problem+json", ...fault?.headers });
    response.end(JSON.stringify({ ...problem, requestId: "req-1" }));
  }
}

function send(response: ServerResponse, answer: FakeAnswer, fault: Fault | undefined): void {
  if (answer.kind === "stream") {
    sendStream(response, answer, fault?.cutAfterMessages);
    return;
  }
  const body = answer.kind === "json" ? Buffer.from(JSON.stringify(answer.body)) : answer.body;
  const type = answer.kind === "json" ? "application/json" : "application/octet-stream";
  const headers = answer.kind === "bytes" ? answer.headers : undefined;
  response.writeHead(answer.status, { "content-type": type, "content-length": body.length, ...headers });
  if (fault?.cutMidway) response.write(body.subarray(0, body.length / 2), () => response.destroy());
  else response.end(body);
}

function sendStream(
  response: ServerResponse,
  { job, from, next, isEnded }: Extract<FakeAnswer, { kind: "stream" }>,
  cutAfter: number | undefined,
): void {
  let position = from;
  let sent = 0;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(": hello\n\n");
  const pump = (): void => {
    for (let message = next(position); message; message = next(position)) {
      if (sent === cutAfter) {
        job.changes.off("change", pump);
        // What was sent before has to arrive: the cut comes after it.
        response.write(": cut\n\n", () => response.destroy());
        return;
      }
      const { id, event, data } = message;
      response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      position = id;
      sent++;
    }
    if (!isEnded()) return;
    job.changes.off("change", pump);
    response.end("event: end\ndata: {}\n\n");
  };
  job.changes.on("change", pump);
  response.on("close", () => job.changes.off("change", pump));
  pump();
}
