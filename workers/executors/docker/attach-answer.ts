/** What the daemon has answered so far; `rest` is what follows an answer that it attaches. */
export type AttachAnswer =
  | { status: "incomplete" }
  | { status: "attached"; rest: Buffer }
  | { status: "refused"; error: Error };

const headEnd = "\r\n\r\n";

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
  const said = /"message"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(body)?.[1];
  const message = said === undefined ? body.trim() : String(JSON.parse(said));
  const error = new Error(`Docker refused to attach (HTTP code ${statusCode}): ${message}`);
  return Object.assign(error, { statusCode, json: { message } });
}
