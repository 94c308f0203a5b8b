import { createHash, type Hash, hash } from "node:crypto";
import { type ChunkSigning, equalsHmac } from "../aws/signature.ts";
import { S3Error, s3Error } from "./errors.ts";

const emptySha256 = hash("sha256", "");
/** Longest header line of a chunk and longest block of trailers that are taken. */
const maxLineBytes = 16 * 1024;
const crlf = Buffer.from("\r\n");

/** How an aws-chunked body is to be read. `signing` is set where the chunks are signed. */
export interface ChunkedBody {
  signing?: ChunkSigning;
  /** Called once, after the last chunk, with lower-case names. */
  onTrailers: (trailers: ReadonlyMap<string, string>) => void;
}

/**
 * Takes the framing of an aws-chunked body off: `size[;chunk-signature=…]\r\n data \r\n … 0 … trailers \r\n`.
 * Yields the data as it comes, so a chunk is yielded before its signature can be checked: nothing may be made
 * visible before the generator has ended.
 */
export async function* decodeAwsChunked(source: AsyncIterable<Buffer>, body: ChunkedBody): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  const verifier = body.signing ? new ChunkVerifier(body.signing) : undefined;
  for (;;) {
    const line = await reader.readLine();
    const [, size = "", extension = ""] = /^([0-9a-fA-F]{1,12})(?:;(.*))?$/.exec(line) ?? [];
    if (size === "") throw s3Error("IncompleteBody", "The aws-chunked body has a malformed chunk header.");
    const sizeBytes = Number.parseInt(size, 16);
    for (let left = sizeBytes; left > 0; ) {
      const data = await reader.readSome(left);
      left -= data.length;
      verifier?.update(data);
      yield data;
    }
    verifier?.endChunk(/(?:^|;)chunk-signature=([0-9a-f]{64})$/.exec(extension)?.[1]);
    if (sizeBytes === 0) break;
    if ((await reader.readLine()) !== "") throw s3Error("IncompleteBody", "A chunk is longer than its header says.");
  }
  const trailers = await readTrailers(reader);
  verifier?.endTrailers(trailers);
  body.onTrailers(trailers);
}

async function readTrailers(reader: ByteReader): Promise<Map<string, string>> {
  const trailers = new Map<string, string>();
  // Some clients leave out the empty line at the very end, so the end of the body ends the trailers as well.
  while (!(await reader.isAtEnd())) {
    const line = await reader.readLine();
    if (line === "") break;
    const colon = line.indexOf(":");
    if (colon < 1) throw s3Error("IncompleteBody", "The aws-chunked body has a malformed trailer.");
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return trailers;
}

/** Checks the chain of signatures: each chunk's covers the one before it. */
class ChunkVerifier {
  readonly #signing: ChunkSigning;
  #previous: string;
  #hash: Hash = createHash("sha256");

  constructor(signing: ChunkSigning) {
    this.#signing = signing;
    this.#previous = signing.seed;
  }

  update(data: Buffer): void {
    this.#hash.update(data);
  }

  endChunk(signature: string | undefined): void {
    this.#check("AWS4-HMAC-SHA256-PAYLOAD", [emptySha256, this.#hash.digest("hex")], signature);
    this.#hash = createHash("sha256");
  }

  endTrailers(trailers: ReadonlyMap<string, string>): void {
    const signature = trailers.get("x-amz-trailer-signature");
    const signed = [...trailers].filter(([name]) => name !== "x-amz-trailer-signature");
    // A body that promised no trailers has none and so has nothing to sign.
    if (signed.length === 0 && signature === undefined) return;
    const text = signed.map(([name, value]) => `${name}:${value}\n`).join("");
    this.#check("AWS4-HMAC-SHA256-TRAILER", [hash("sha256", text)], signature);
  }

  #check(kind: string, hashes: string[], signature: string | undefined): void {
    const { amzDate, scope, signingKey } = this.#signing;
    const text = [kind, amzDate, scope, this.#previous, ...hashes].join("\n");
    if (signature === undefined || !equalsHmac(signingKey, text, signature)) {
      throw new S3Error("SignatureDoesNotMatch", 403, "The signature of a chunk of the body does not match.");
    }
    this.#previous = signature;
  }
}

/** Reads lines and runs of bytes from a stream of buffers, copying only where a line spans two of them. */
class ByteReader {
  readonly #iterator: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0 && !this.#ended) await this.#fill();
    return this.#rest.length === 0;
  }

  /** Between one and `maxBytes` bytes. */
  async readSome(maxBytes: number): Promise<Buffer> {
    if (await this.isAtEnd()) throw s3Error("IncompleteBody", "The aws-chunked body ended inside a chunk.");
    const data = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(data.length);
    return data;
  }

  /** The text up to the next CRLF, which is taken off. */
  async readLine(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(crlf);
      if (end >= 0) {
        const line = this.#rest.toString("latin1", 0, end);
        this.#rest = this.#rest.subarray(end + crlf.length);
        return line;
      }
      if (this.#ended || this.#rest.length > maxLineBytes) {
        throw s3Error("IncompleteBody", "The aws-chunked body is cut off or malformed.");
      }
      await this.#fill();
    }
  }

  async #fill(): Promise<void> {
    const next = await this.#iterator.next();
    if (next.done) this.#ended = true;
    else this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
  }
}
