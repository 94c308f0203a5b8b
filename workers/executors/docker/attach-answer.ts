import { z } from "zod";
import { parseJson } from "../../../shared/parse-json.ts";

/** What the daemon has answered so far; `rest` is what follows an answer that it attaches. */
export type AttachAnswer =
  | { status: "incomplete" }
  | { status: "attached"; rest: Buffer }
  | { status: "refused"; error: Error };

const headEnd = "\r\n\r\n";
const refusalSchema = z.object({ message: z.string() });

/** Reads the daemon's answer to an attachment as far as it has come. */
export function readAttachAnswer(bytes: Buffer): AttachAnswer {
  const bodyStart = bytes.indexOf(headEnd) + headEnd.length;
  if (bodyStart < headEnd.length) return { status: "incomplete" };
  const head = bytes.toString("latin1", 0, bodyStart);
  const statusCode = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
  const body = bytes.subarray(bodyStart);
  // Daemons that do not switch protocols answer 200 and send the output all the same.
  if (statusCode === 101 || statusCode === 200) return { status: "attached", rest: body };
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (body.length < length) return { status: "incomplete" };
  return { status: "refused", error: describeRefusal(statusCode, body.toString("utf8")) };
}

/** The refusal with the fields that errors of the Docker client have. */
function describeRefusal(statusCode: number, body: string): Error {
  const parsed = refusalSchema.safeParse(parseJson(body));
  const message = parsed.success ? parsed.data.message : body.trim();
  const error = new Error(`Docker refused to attach (HTTP code ${statusCode}): ${message}`);
  return Object.assign(error, { statusCode, json: { message } });
}
