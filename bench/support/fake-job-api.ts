import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { type AddressInfo, isIPv4 } from "node:net";
import { fileURLToPath } from "node:url";
import type { JobEvent } from "../../events/index.ts";
import { createFront } from "../../local/console-files.ts";
import type { AttemptTimes, Job, TaskBrief } from "../../shared/api/schemas.ts";
import { taskCounts } from "../../shared/domain/task-counts.ts";

const consoleFolder = fileURLToPath(new URL("../../console/dist", import.meta.url));
const jobId = "busy-01aaaaaaaaaaaaaaaaaaaaaaaa";
const workers = Array.from({ length: 50 }, (_, index) => `w-${String(index).padStart(26, "0")}`);
const writeEveryMs = 50;
/** Attempts that run at once. */
const running = 200;

/** A console whose one job never rests. */
export interface BusyConsole {
  url: string;
  job: string;
  close(): Promise<void>;
}

/**
 * Serves the console, and behind it as much of the API as the page of a job asks for: a job of so many tasks, of which so
 * many events come a second, for ever: each task is started, completes, and is retried once all have. What is measured
 * is the page: the events come over a real stream, whatever else the machine has to do.
 */
export async function startBusyConsole(tasks: number, eventsPerSecond: number): Promise<BusyConsole> {
  const model = createModel(tasks);
  const streams = new Set<ServerResponse>();
  let due = 0;
  const timer = setInterval(() => {
    due += (eventsPerSecond * writeEveryMs) / 1000;
    const events = Array.from({ length: Math.floor(due) }, model.move);
    due -= events.length;
    const text = events
      .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\nid: ${event.seq}\n\n`)
      .join("");
    for (const stream of streams) stream.write(text);
  }, writeEveryMs);

  const api: RequestListener = (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const path = url.pathname.replace(`/v1/jobs/${jobId}`, "");
    const json = (answer: unknown) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    };
    if (path === "/v1/session") json({ name: "bench", role: "viewer" });
    else if (path === "") json(model.job());
    else if (path === "/task-briefs") json({ tasks: model.briefs() });
    else if (path === "/attempts") json({ attempts: model.attempts(url.searchParams.get("tasks")?.split(",")) });
    else if (path === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": begun\n\n");
      streams.add(response);
      response.on("close", () => streams.delete(response));
    } else response.writeHead(404, { "content-type": "application/problem+json" }).end("{}");
  };
  const server = createServer(createFront(api, consoleFolder));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    url: `http://${isIPv4(address) ? address : `[${address}]`}:${port}`,
    job: jobId,
    close: () => {
      clearInterval(timer);
      server.closeAllConnections();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

interface FakeTask {
  task: string;
  status: "queued" | "running" | "completed";
  attempt: number;
  workerId: string;
  startedMs: number;
  endedMs: number;
}

function createModel(total: number) {
  const createdAtMs = Date.now();
  const tasks = Array.from({ length: total }, (_, index): FakeTask => {
    return { task: `t${index}`, status: "queued", attempt: 0, workerId: "", startedMs: 0, endedMs: 0 };
  });
  const counts = taskCounts({ queued: total });
  let [seq, started, ended] = [1, 0, 0];
  const iso = (ms: number) => new Date(ms).toISOString();

  /** The next thing that happens; all that is over begins again. */
  const move = (): JobEvent => {
    const begins = started - ended < running && (started < total || ended === total);
    const task = tasks[(begins ? started++ : ended++) % total];
    if (!task) throw new Error("there is no task");
    if (started > total && ended >= total) {
      started -= total;
      ended -= total;
    }
    const from = task.status;
    const nowMs = Date.now();
    if (from === "running") Object.assign(task, { status: "completed", endedMs: nowMs });
    else {
      const workerId = workers[seq % workers.length];
      Object.assign(task, { status: "running", attempt: task.attempt + 1, workerId, startedMs: nowMs });
    }
    counts[from]--;
    counts[task.status]++;
    const { attempt, status: to, workerId } = task;
    const envelope = { v: 1, seq: ++seq, jobId, at: iso(nowMs) } as const;
    return { ...envelope, type: "task.transition", task: task.task, from, to, attempt, workerId };
  };

  return {
    move,
    job: (): Job => ({
      job: jobId,
      name: "busy",
      pool: "default",
      status: "running",
      total,
      counts,
      reasons: {},
      createdAt: iso(createdAtMs),
      submittedBy: "bench",
      abort: "never",
      lastEvent: seq,
    }),
    briefs: (): TaskBrief[] =>
      tasks.map(({ task, status, attempt, startedMs, endedMs }) => ({
        task,
        status,
        attempt,
        ...(startedMs ? { startedAt: iso(startedMs) } : {}),
        ...(status === "completed" ? { endedAt: iso(endedMs) } : {}),
      })),
    attempts: (names?: readonly string[]): AttemptTimes[] =>
      tasks
        .filter(({ task, attempt }) => attempt > 0 && (names === undefined || names.includes(task)))
        .map(({ task, status, attempt, workerId, startedMs, endedMs }) => ({
          task,
          attempt,
          workerId,
          claimedAt: iso(startedMs),
          waitedMs: startedMs - createdAtMs,
          ...(status === "completed"
            ? {
                leaseMs: 5,
                runMs: Math.max(0, endedMs - startedMs - 10),
                totalMs: endedMs - startedMs,
                state: "completed" as const,
              }
            : {}),
        })),
  };
}
