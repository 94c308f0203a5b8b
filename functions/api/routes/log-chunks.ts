import * as z from "zod";
import { logChunkPageSchema } from "../../../shared/api/log-schemas.ts";
import type { Deps } from "../../deps.ts";
import { formatLogCursor } from "../../operations/log-position.ts";
import { findLogStart, logQueryFields, openLog } from "../log-request.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";

const linkSeconds = 900;
/** Each costs a signature and a kilobyte of the answer. */
const mostChunks = 100;

const chunksRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/logs/chunks",
  summary: "List links to the chunks of a task's logs",
  description:
    "For large logs: each chunk is fetched once, straight from the bucket, whatever the function that answers here may send. " +
    "A chunk is a frame of zstd that holds the text as it was printed, and behind it one that decoders pass over: the times and streams of its lines.",
  request: {
    params: taskParam,
    query: z.object({ ...logQueryFields, limit: z.coerce.number().int().min(1).max(mostChunks).default(mostChunks) }),
  },
  responses: { 200: jsonAnswer(logChunkPageSchema, "Chunks in the order of the log.") },
});

/** The route on chunks of logs. */
export function logChunkRoutes(deps: Deps) {
  return createRouter().openapi(chunksRoute, async (c) => {
    const query = c.req.valid("query");
    const opened = await openLog(deps, c.req.valid("param"), query, { follows: false });
    const { reader, choice, lines } = opened;
    const from = await findLogStart(opened, { cursor: query.cursor, since: query.since });
    const { attempt } = from;
    const page = await reader.listChunks(from, query.limit);
    const linesEnd = (lines?.last ?? Number.POSITIVE_INFINITY) + 1;
    const wanted = page.chunks.filter(({ chunk }) => chunk.firstLine < linesEnd);
    const chunks = await Promise.all(
      wanted.map(async ({ chunk: { key, step, sequence, firstLine, lines: count, bytes, firstAtMs }, skip }) => ({
        url: await deps.objects.presignGet(key, { expiresSeconds: linkSeconds }),
        ...(choice.service === undefined ? { step } : { service: choice.service }),
        firstLine,
        lines: count,
        bytes,
        firstAt: new Date(firstAtMs).toISOString(),
        skip,
        drop: Math.max(0, firstLine + count - linesEnd),
        cursor: formatLogCursor({ attempt, step, sequence, skip }),
      })),
    );
    const more = page.more && wanted.length === page.chunks.length;
    const expiresAt = new Date(deps.now() + linkSeconds * 1000).toISOString();
    return c.json({ attempt, chunks, cursor: formatLogCursor(page.next), more, expiresAt }, 200);
  });
}
