import * as z from "zod";
import { type JobEvent, jobEventSchema } from "../../../events/index.ts";
import { eventPageSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../../shared/domain/job-state.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { JobDigest } from "../../../shared/repository/items.ts";
import type { Deps } from "../../deps.ts";
import { findJob } from "../find.ts";
import { inOrder } from "../in-order.ts";
import { createRouter, jobParam, securedRoute } from "../route.ts";
import { streamPolls, wantsEventStream } from "../sse.ts";

const streamPageSize = 500;

const eventsRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/events",
  summary: "Read or follow a job's events",
  description:
    "JSON pages, or with `Accept: text/event-stream` a stream that resumes from `Last-Event-ID` and closes with an `end` event once the job has ended. A place that the job has not reached is refused (400). A page may have fewer events than asked for; the list ends where `next` stays.",
  request: {
    params: jobParam,
    query: z.object({
      after: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(limits.pageSize).default(200),
      task: z
        .string()
        .max(128)
        .optional()
        .meta({ description: "Only events of this task, and those of the whole job." }),
    }),
  },
  responses: {
    200: {
      description: "Events in order.",
      content: { "application/json": { schema: eventPageSchema }, "text/event-stream": { schema: z.string() } },
    },
  },
});

/** Routes on a job's events. */
export function eventRoutes(deps: Deps) {
  return createRouter().openapi(eventsRoute, async (c) => {
    const { job } = c.req.valid("param");
    const { after, limit, task } = c.req.valid("query");
    const isWanted = (event: JobEvent) => task === undefined || event.type !== "task.transition" || event.task === task;
    const digest = await findJob(deps, job);
    const { eventPage, eventPageBytes } = deps.limits;
    if (!wantsEventStream(c)) {
      checkReached(digest, after, "after");
      const events = await deps.events.listAfter(job, after, Math.min(limit, eventPage), eventPageBytes);
      const page = { events: events.filter(isWanted), next: events.at(-1)?.seq ?? after };
      return c.json(inOrder(eventPageSchema, page), 200);
    }
    const lastEventId = readLastEventId(c.req.header("last-event-id"));
    let position = lastEventId ?? after;
    checkReached(digest, position, lastEventId === undefined ? "after" : "Last-Event-ID");
    let ended = isTerminalJobState(digest.state) && position >= digest.seq;
    return streamPolls(c, deps, async () => {
      if (ended) return { messages: [], ended };
      const events = await deps.events.listAfter(job, position, Math.min(streamPageSize, eventPage), eventPageBytes);
      position = events.at(-1)?.seq ?? position;
      // A retried task may follow an ended job: only an end that nothing follows is the end.
      if (events.at(-1)?.type === "job.ended") {
        const now = await deps.jobs.getDigest(job);
        ended = now === undefined || now.seq <= position;
      }
      return { messages: events.filter(isWanted).map(toMessage), ended };
    });
  });
}

/** Nobody can have seen an event that is not there yet: whoever says so would miss those that come. */
function checkReached({ jobId, seq }: JobDigest, position: number, name: string): void {
  if (position <= seq) return;
  throw new AppError(
    "invalid_request",
    `${name} is ${position}, but job ${jobId} has had ${seq} events so far; leave it out to see all`,
  );
}

/** The sequence number a client saw last; an empty header says none. */
function readLastEventId(header: string | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  if (/^\d{1,12}$/.test(header)) return Number(header);
  throw new AppError("invalid_request", "Last-Event-ID is the sequence number of an event; leave it out to see all");
}

function toMessage(event: JobEvent) {
  return { id: String(event.seq), event: event.type, data: JSON.stringify(inOrder(jobEventSchema, event)) };
}
