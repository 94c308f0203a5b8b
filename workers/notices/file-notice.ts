import { readFile, stat } from "node:fs/promises";
import * as z from "zod";
import { hasCode } from "../../shared/error-code.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { spotNoticeMs } from "../drain-plan.ts";
import { messageOf } from "../retry.ts";
import type { Notice, NoticeReading, NoticeSource } from "./notice.ts";

const maxBytes = 64 * 1024;
const fileSchema = z.object({
  action: z.enum(["terminate", "drain"]),
  at: z.iso.datetime({ offset: true }).optional(),
  detail: z.string().max(500).optional(),
});

/**
 * A file by which anybody on the machine tells that it goes: `{"action": "terminate", "at": "…"}`, or `drain`, with a
 * time or without. An empty file means `drain`.
 */
export function createFileSource(file: string, nowMs: () => number): NoticeSource {
  return { name: `the file ${file}`, read: () => readNoticeFile(file, nowMs) };
}

async function readNoticeFile(file: string, nowMs: () => number): Promise<NoticeReading> {
  try {
    const found = await stat(file);
    // Reading a pipe or a device would not end.
    if (!found.isFile()) return { kind: "silent", why: "it is no regular file" };
    if (found.size > maxBytes) return { kind: "silent", why: `it is longer than ${maxBytes} bytes` };
    const text = await readFile(file, "utf8");
    if (text.trim() === "") return { kind: "told", notices: [{ kind: "retire", detail: `the file ${file}` }] };
    const parsed = fileSchema.safeParse(parseJson(text));
    if (parsed.success) return { kind: "told", notices: [toNotice(parsed.data, file, nowMs())] };
    return { kind: "silent", why: 'it holds something else than {"action": "terminate" or "drain", "at": a time}' };
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { kind: "told", notices: [] };
    return { kind: "silent", why: messageOf(error) };
  }
}

function toNotice({ action, at, detail = action }: z.infer<typeof fileSchema>, file: string, nowMs: number): Notice {
  const told = `the file ${file}: ${detail}`;
  const atMs = at === undefined ? undefined : Date.parse(at);
  if (action === "terminate") return { kind: "ends", detail: told, atMs: atMs ?? nowMs + spotNoticeMs };
  return atMs === undefined ? { kind: "retire", detail: told } : { kind: "event", detail: told, atMs };
}
