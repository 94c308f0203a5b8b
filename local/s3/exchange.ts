import type { IncomingMessage, ServerResponse } from "node:http";
import type { ChunkSigning, SignedPayload } from "../aws/signature.ts";
import { type BodyExpectations, type ReceivedBody, storeBody } from "./body.ts";
import { checksumAlgorithms, checksumHeader, isChecksumValue } from "./checksums.ts";
import { decodeAwsChunked } from "./chunked.ts";
import { notImplemented, s3Error } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { Storage } from "./storage.ts";
import { parseDocument, type XmlElement } from "./xml.ts";

/** Everything an operation needs beside its request. */
export interface S3Context {
  storage: Storage;
  region: string;
  now: () => number;
  logger: Logger;
  /** Tells the lifecycle sweep that a configuration has changed. */
  onLifecycleChange: () => void;
}

/** What an operation answers; a body that is a function streams itself and is preceded by its Content-Length. */
export interface Answer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array | ((response: ServerResponse) => Promise<void>);
  /** Called when the answer is over, sent or not. */
  release?: () => void;
}

const maxPutBytes = 5 * 1024 ** 3;
/** The limit of DeleteObjects, the largest of the documents. */
const maxDocumentBytes = 2 * 1024 * 1024;

/** One request on its way through the server. */
export class Exchange {
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly presigned: boolean;
  readonly #request: IncomingMessage;
  readonly #payload: SignedPayload;
  readonly #signing: ChunkSigning;
  readonly #onOpenBody: () => void;
  readonly #onBodyRead: () => Promise<void>;

  constructor(options: {
    request: IncomingMessage;
    bucket: string;
    key: string;
    query: ReadonlyMap<string, string>;
    presigned: boolean;
    payload: SignedPayload;
    signing: ChunkSigning;
    /** Called before the body is read: the place of "100 Continue". */
    onOpenBody: () => void;
    /** Awaited after the body was read and before anything takes effect: the place of a delay fault. */
    onBodyRead: () => Promise<void>;
  }) {
    this.#request = options.request;
    this.bucket = options.bucket;
    this.key = options.key;
    this.query = options.query;
    this.presigned = options.presigned;
    this.#payload = options.payload;
    this.#signing = options.signing;
    this.#onOpenBody = options.onOpenBody;
    this.#onBodyRead = options.onBodyRead;
  }

  /**
   * A request header by lower-case name. A presigned request may carry `x-amz-*` headers in its query instead. Not
   * checksums: the SDK signs the one of an empty body into every presigned upload, and S3 passes over it.
   */
  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    if (value !== undefined) return Array.isArray(value) ? value.join(", ") : value;
    if (!this.presigned || !name.startsWith("x-amz-") || /^x-amz-(?:checksum-(?!mode)|sdk-)/.test(name)) {
      return undefined;
    }
    return this.queryHeader(name);
  }

  /** A query parameter that is to become a header, so it has to be one line of Latin-1. */
  queryHeader(name: string): string | undefined {
    const value = this.query.get(name);
    if (value !== undefined && !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw s3Error("InvalidArgument", `The parameter ${name} cannot be a header.`);
    }
    return value;
  }

  /** All `x-amz-meta-*` headers, without that prefix. */
  readMetadata(): Record<string, string> {
    const prefix = "x-amz-meta-";
    const metadata: Record<string, string> = {};
    const names = new Set([...Object.keys(this.#request.headers), ...(this.presigned ? this.query.keys() : [])]);
    for (const name of names) {
      if (name.startsWith(prefix)) metadata[name.slice(prefix.length)] = this.header(name) ?? "";
    }
    return metadata;
  }

  /**
   * Reads the body into storage and checks it against everything the request says about it. Bodies of more than
   * `inlineBytes` become files.
   */
  async receiveBody(storage: Storage, inlineBytes?: number): Promise<ReceivedBody> {
    const { expectations, open } = this.#prepareBody();
    if ((expectations.sizeBytes ?? 0) > maxPutBytes) throw s3Error("EntityTooLarge");
    const received = await storeBody(open(), expectations, storage.blobs, inlineBytes);
    await this.#onBodyRead();
    return received;
  }

  /**
   * Reads the body as an XML document with this root element. `checksumIsOfBody` is false where the checksum headers
   * speak of something else.
   */
  async receiveDocument(root: string, storage: Storage, checksumIsOfBody = true): Promise<XmlElement> {
    const { expectations, open } = this.#prepareBody(checksumIsOfBody);
    const { sizeBytes = 0 } = expectations;
    if (sizeBytes === 0) throw s3Error("MissingRequestBodyError");
    if (sizeBytes > maxDocumentBytes) throw s3Error("MalformedXML", "The document is larger than 2 MB.");
    const { body } = await storeBody(open(), expectations, storage.blobs, maxDocumentBytes);
    if (body.kind !== "inline") throw new Error("a document within the limit was not kept in memory");
    await this.#onBodyRead();
    const document = parseDocument(Buffer.from(body.bytes).toString("utf8"), root);
    if (!document) throw s3Error("MalformedXML");
    return document;
  }

  /** Whether the request says how its body is to be checked, as some operations demand. */
  get hasIntegrityHeader(): boolean {
    const { headers } = this.#request;
    return headers["content-md5"] !== undefined || checksumAlgorithms.some((name) => headers[checksumHeader(name)]);
  }

  #prepareBody(checksumIsOfBody = true): { expectations: BodyExpectations; open: () => AsyncIterable<Buffer> } {
    const { headers } = this.#request;
    const chunked = this.#payload.kind === "chunked" ? this.#payload : undefined;
    const trailers = new Map<string, string>();
    const length = chunked ? this.header("x-amz-decoded-content-length") : headers["content-length"];
    if (length === undefined && !chunked && headers["transfer-encoding"] !== undefined) {
      throw notImplemented("the header Transfer-Encoding without x-amz-decoded-content-length (nor does S3)");
    }
    if (length === undefined || !/^\d{1,15}$/.test(length)) throw s3Error("MissingContentLength");
    const checksum = checksumIsOfBody ? this.#readChecksumExpectation(trailers) : undefined;
    const md5 = headers["content-md5"];
    if (typeof md5 === "string" && !/^[A-Za-z0-9+/]{22}==$/.test(md5)) throw s3Error("InvalidDigest");
    const expectations: BodyExpectations = {
      sizeBytes: Number(length),
      ...(this.#payload.kind === "sha256" ? { sha256: this.#payload.sha256 } : {}),
      ...(typeof md5 === "string" ? { md5 } : {}),
      ...(checksum ? { checksum } : {}),
    };
    const open = (): AsyncIterable<Buffer> => {
      this.#onOpenBody();
      if (!chunked) return this.#request;
      return decodeAwsChunked(this.#request, {
        ...(chunked.signed ? { signing: this.#signing } : {}),
        onTrailers: (found) => {
          for (const [name, value] of found) trailers.set(name, value);
        },
      });
    };
    return { expectations, open };
  }

  #readChecksumExpectation(trailers: ReadonlyMap<string, string>): BodyExpectations["checksum"] {
    const { headers } = this.#request;
    if (headers["x-amz-checksum-crc64nvme"] !== undefined) throw notImplemented("the checksum CRC64NVME");
    const given = checksumAlgorithms.filter((algorithm) => headers[checksumHeader(algorithm)] !== undefined);
    if (given.length > 1) {
      throw s3Error(
        "InvalidRequest",
        "Expecting a single x-amz-checksum- header. Multiple checksum types are not allowed.",
      );
    }
    const [algorithm] = given;
    if (algorithm !== undefined) {
      const value = String(headers[checksumHeader(algorithm)]);
      if (!isChecksumValue(algorithm, value)) {
        throw s3Error("InvalidRequest", `Value for ${checksumHeader(algorithm)} header is invalid.`);
      }
      return { algorithm, expected: () => value };
    }
    const announced = String(headers["x-amz-trailer"] ?? "").toLowerCase();
    if (announced === "x-amz-checksum-crc64nvme") throw notImplemented("the checksum CRC64NVME");
    const trailing = checksumAlgorithms.find((name) => checksumHeader(name) === announced);
    if (trailing === undefined) return undefined;
    const expected = () => {
      const value = trailers.get(announced);
      if (value === undefined || !isChecksumValue(trailing, value)) {
        throw s3Error("InvalidRequest", `The trailer ${announced} is missing or invalid.`);
      }
      return value;
    };
    return { algorithm: trailing, expected };
  }
}
