import { type IncomingMessage, request } from "node:http";

/** Where the machine's cloud tells it about itself; a URL without a path. */
export type MetadataEndpoint = URL;

/** What a metadata service answered; undefined where nobody answered in time. */
export interface MetadataAnswer {
  status: number;
  text: string;
  /** When it answered by its own clock, in milliseconds since the epoch, where it says so. */
  dateMs?: number;
}

/** One question at a metadata service. */
export interface MetadataQuestion {
  method?: "GET" | "PUT";
  path: string;
  headers?: Readonly<Record<string, string>>;
  deadlineMs: number;
}

/** Answers are small; what is longer is not from a metadata service. */
const maxAnswerBytes = 256 * 1024;

/**
 * Asks the metadata service of this machine. Nobody may be there, or somebody else: no answer, one that takes too long and
 * one that is too long are all undefined, for none of them tells anything. A redirect is an answer and not followed.
 */
export async function askMetadata(
  endpoint: MetadataEndpoint,
  { method = "GET", path, headers = {}, deadlineMs }: MetadataQuestion,
): Promise<MetadataAnswer | undefined> {
  const signal = AbortSignal.timeout(Math.ceil(deadlineMs));
  const { promise, resolve } = Promise.withResolvers<MetadataAnswer | undefined>();
  // The body of a PUT is empty, and a service may insist on being told so.
  const length = method === "PUT" ? { "content-length": "0" } : {};
  // A connection for each question: what keeps them open for the next one are seconds of nothing.
  const asked = request(new URL(path, endpoint), { method, headers: { ...headers, ...length }, agent: false, signal });
  asked.on("error", () => resolve(undefined));
  asked.on("response", (answer: IncomingMessage) => {
    const pieces: Buffer[] = [];
    let size = 0;
    answer.on("data", (piece: Buffer) => {
      size += piece.length;
      if (size <= maxAnswerBytes) pieces.push(piece);
      else answer.destroy();
    });
    answer.on("end", () => {
      const { statusCode: status = 0, headers } = answer;
      const dateMs = Date.parse(headers.date ?? "");
      const text = Buffer.concat(pieces).toString("utf8");
      resolve({ status, text, ...(Number.isFinite(dateMs) && { dateMs }) });
    });
    answer.on("error", () => resolve(undefined));
    answer.on("close", () => resolve(undefined));
  });
  asked.end();
  return promise;
}
