import { z } from "zod";
import type { JobEvent } from "../../../events/index.ts";
import { eventPageSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../../shared/domain/job-state.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { Deps } from "../../deps.ts";
import { findJob } from "../find.ts";
import { createRouter, jobParam, securedRoute } from "../route.ts";
import { streamPolls, wantsEventStream } from "../sse.ts";

const streamPageSize = 500;

const eventsRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/events",
  summary: "Read or follow a job's events",
  description:
    "JSON pages, or with `Accept: text/event-stream` a stream that resumes from `Last-Event-ID` and closes with an `end` event once the job has ended.",
  request: {
    params: jobParam,
    query: z.object({
      after: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(limits.pageSize).default(200),
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
    const { after, limit } = c.req.valid("query");
    const digest = await findJob(deps, job);
    if (!wantsEventStream(c)) {
      const events = await deps.events.listAfter(job, after, limit);
      return c.json({ events, next: events.at(-1)?.seq ?? after }, 200);
    }
    let position = readLastEventId(c.req.header("last-event-id")) ?? after;
    let ended = isTerminalJobState(digest.state) && position >= digest.seq;
    return streamPolls(c, deps.log, async () => {
      if (ended) return { messages: [], ended };
      const events = await deps.events.listAfter(job, position, streamPageSize);
      position = events.at(-1)?.seq ?? position;
      // A retried task may follow an ended job: only an end that nothing follows is the end.
      if (events.at(-1)?.type === "job.ended") {
        const now = await deps.jobs.getDigest(job);
        ended = now === undefined || now.seq <= position;
      }
      return { messages: events.map(toMessage), ended };
    });
  });
}

/** The sequence number a client saw last; an empty header says none. */
function readLastEventId(header: string | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  if (/^\d{1,12}$/.test(header)) return Number(header);
  throw new AppError("invalid_request", "Last-Event-ID is the sequence number of an event; leave it out to see all");
}

function toMessage(event: JobEvent) {
  return { id: String(event.seq), event: event.type, data: JSON.stringify(event) };
}
