import * as z from "zod";
import { parseJson } from "../../shared/parse-json.ts";
import { openStackMetadataPath } from "./instance.ts";
import { askMetadata } from "./metadata-service.ts";
import type { NoticeReading, NoticeSource } from "./notice.ts";

/** The property of a server by which its operator takes it out of service. */
const drainProperty = "sluice_drain";
const metadataSchema = z.object({ meta: z.record(z.string(), z.string()).optional() });

/**
 * OpenStack has no notice of its own: Nova tells a server nothing before it deletes, stops or moves it. What an operator
 * can do is to set a property of the server, which Nova then shows in the server's metadata (within 15 seconds, as it
 * caches them): `openstack server set --property sluice_drain=now`, or the time at which the machine goes.
 */
export function createOpenStackSource(endpoint: URL): NoticeSource {
  return {
    name: "OpenStack server properties",
    read: async (deadlineMs) => {
      const answer = await askMetadata(endpoint, { path: openStackMetadataPath, deadlineMs });
      if (answer === undefined) return { kind: "silent", why: "no answer" };
      if (answer.status !== 200) return { kind: "silent", why: `it answered ${answer.status}` };
      const parsed = metadataSchema.safeParse(parseJson(answer.text));
      if (!parsed.success) return { kind: "silent", why: "it answered something else than a server's metadata" };
      return readProperty(parsed.data.meta?.[drainProperty]?.trim() ?? "");
    },
  };
}

function readProperty(text: string): NoticeReading {
  if (text === "" || text === "no" || text === "false") return { kind: "told", notices: [] };
  const detail = `the server's property ${drainProperty} is ${text}`;
  if (text === "now" || text === "true" || text === "yes")
    return { kind: "told", notices: [{ kind: "retire", detail }] };
  const atMs = Date.parse(text);
  if (!Number.isFinite(atMs)) return { kind: "silent", why: `${drainProperty} is "now" or a time; it is "${text}"` };
  return { kind: "told", notices: [{ kind: "event", detail, atMs }] };
}
