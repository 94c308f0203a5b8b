import type { Context } from "hono";
import * as z from "zod";
import { type OverviewPart, overviewParts, overviewSchema } from "../../../shared/api/overview-schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import type { Deps } from "../../deps.ts";
import { createOverviewReader, type OverviewLook, type OverviewReader } from "../../operations/overview.ts";
import type { ApiEnv } from "../auth.ts";
import { inOrder } from "../in-order.ts";
import { createNews } from "../news.ts";
import { createRouter, securedRoute } from "../route.ts";
import { streamPolls, wantsEventStream } from "../sse.ts";

const overviewRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/overview",
  summary: "Read or follow how everything is",
  description:
    "Pools, queues, the jobs of now, why attempts failed in the last 24 hours, and the newest events of pools and workers. With `Accept: text/event-stream` a stream of one event for each part, named like it, and again whenever the part has changed; a resumed stream tells all parts again. Looks are shared: what is told is up to 2 seconds old, failures and events up to 10.",
  request: {
    query: z.object({
      parts: z
        .string()
        .max(200)
        .optional()
        .meta({ description: `Only these, with commas between them: ${overviewParts.join(", ")}.` }),
    }),
  },
  responses: {
    200: {
      description: "All parts, or those asked for.",
      content: { "application/json": { schema: overviewSchema }, "text/event-stream": { schema: z.string() } },
    },
  },
});

/** The route on everything at once. */
export function overviewRoutes(deps: Deps) {
  const reader = createOverviewReader(deps);
  return createRouter().openapi(overviewRoute, async (c) => {
    const parts = readParts(c.req.valid("query").parts);
    if (wantsEventStream(c)) return followOverview(c, deps, reader, parts);
    const at = new Date(deps.now()).toISOString();
    const looks = await Promise.all(parts.map((part) => reader.read(part)));
    return c.json(inOrder(overviewSchema, Object.assign({}, ...looks, { at })), 200);
  });
}

function readParts(text: string | undefined): readonly OverviewPart[] {
  if (text === undefined || text === "") return overviewParts;
  const names = text.split(",");
  const unknown = names.find((name) => !overviewParts.some((part) => part === name));
  if (unknown !== undefined) {
    throw new AppError("invalid_request", `there is no part '${unknown}'; parts are ${overviewParts.join(", ")}`);
  }
  return overviewParts.filter((part) => names.includes(part));
}

/** Looks are shared and remembered for almost two seconds, so that one who looks each second sees each look in time. */
const pollMs = 1_000;

function followOverview(
  c: Context<ApiEnv>,
  deps: Deps,
  reader: OverviewReader,
  parts: readonly OverviewPart[],
): Response {
  const news = createNews(deps.now);
  const seen = new Map<OverviewPart, OverviewLook>();
  const poll = async () => {
    const looks = await Promise.all(parts.map(async (part) => ({ part, look: await reader.read(part) })));
    const fresh = looks.filter(({ part, look }) => seen.get(part) !== look);
    for (const { part, look } of fresh) seen.set(part, look);
    const messages = fresh.flatMap(({ part, look }) => {
      const { at, ...told } = inOrder(overviewSchema, look);
      if (!news.isNew(part, told)) return [];
      return [{ id: part, event: part, data: JSON.stringify({ at, ...told }) }];
    });
    return { messages, ended: false, settled: true };
  };
  return streamPolls(c, deps, poll, pollMs);
}
