import { createHash, type Hash } from "node:crypto";
import type { BlobStore, BlobWriter } from "./blobs.ts";
import { type Checksum, type ChecksumAlgorithm, createChecksum } from "./checksums.ts";
import { s3Error } from "./errors.ts";
import type { StoredBody } from "./model.ts";

/** Bodies up to this size live in the index: one commit instead of four file calls. */
const inlineLimitBytes = 64 * 1024;

/** What a body has to agree with before it is stored. */
export interface BodyExpectations {
  sizeBytes: number | undefined;
  /** Hex, from the signature. */
  sha256?: string;
  /** Base64, from Content-MD5. */
  md5?: string;
  /** The checksum to compute; `expected` is asked after the last byte, when the trailers are known. */
  checksum?: { algorithm: ChecksumAlgorithm; expected: () => string | undefined };
}

/** A body that is complete and checked; its files are not in the index yet. */
export interface ReceivedBody {
  body: StoredBody;
  sizeBytes: number;
  /** MD5 in hex, which is the entity tag of an object written in one piece. */
  md5: string;
  checksum: Checksum | undefined;
}

/**
 * Reads a stream to its end, up to `inlineBytes` into memory and more into a file, and checks it. When it is cut off or
 * does not agree, nothing of it stays behind.
 */
export async function storeBody(
  stream: AsyncIterable<Buffer>,
  expectations: BodyExpectations,
  blobs: BlobStore,
  inlineBytes = inlineLimitBytes,
): Promise<ReceivedBody> {
  const hashes = new BodyHashes(expectations);
  const collected: Buffer[] = [];
  let sizeBytes = 0;
  let writer: BlobWriter | undefined;
  try {
    for await (const chunk of stream) {
      sizeBytes += chunk.length;
      if (expectations.sizeBytes !== undefined && sizeBytes > expectations.sizeBytes) throw s3Error("IncompleteBody");
      hashes.update(chunk);
      if (writer) {
        await writer.write(chunk);
      } else {
        collected.push(chunk);
        if (sizeBytes > inlineBytes) {
          writer = await blobs.create();
          for (const piece of collected.splice(0)) await writer.write(piece);
        }
      }
    }
    if (expectations.sizeBytes !== undefined && sizeBytes !== expectations.sizeBytes) throw s3Error("IncompleteBody");
    const digests = hashes.verify();
    await writer?.finish();
    const body: StoredBody = writer
      ? { kind: "files", segments: [{ blobId: writer.blobId, sizeBytes }] }
      : { kind: "inline", bytes: collected.length === 1 && collected[0] ? collected[0] : Buffer.concat(collected) };
    return { body, sizeBytes, ...digests };
  } catch (error) {
    if (writer) {
      await writer.abandon();
      blobs.remove([writer.blobId]);
    }
    throw error;
  }
}

/** Moves a small body into a file of its own: parts are always files, so that completing an upload copies nothing. */
export async function toFileBody(body: StoredBody, blobs: BlobStore): Promise<StoredBody & { kind: "files" }> {
  if (body.kind === "files") return body;
  const writer = await blobs.create();
  try {
    await writer.write(Buffer.from(body.bytes));
    await writer.finish();
  } catch (error) {
    await writer.abandon();
    blobs.remove([writer.blobId]);
    throw error;
  }
  return { kind: "files", segments: [{ blobId: writer.blobId, sizeBytes: body.bytes.length }] };
}

/** All digests of a body that are needed, each computed once. */
class BodyHashes {
  readonly #expectations: BodyExpectations;
  readonly #md5: Hash = createHash("md5");
  readonly #sha256: Hash | undefined;
  readonly #checksum: ReturnType<typeof createChecksum> | undefined;

  constructor(expectations: BodyExpectations) {
    this.#expectations = expectations;
    const { sha256, checksum } = expectations;
    if (sha256 !== undefined) this.#sha256 = createHash("sha256");
    // The signature's hash and a SHA-256 checksum are the same number.
    if (checksum && !(checksum.algorithm === "SHA256" && this.#sha256)) {
      this.#checksum = createChecksum(checksum.algorithm);
    }
  }

  update(chunk: Buffer): void {
    this.#md5.update(chunk);
    this.#sha256?.update(chunk);
    this.#checksum?.update(chunk);
  }

  verify(): { md5: string; checksum: Checksum | undefined } {
    const { sha256, md5: expectedMd5, checksum } = this.#expectations;
    const md5 = this.#md5.digest();
    const bodySha256 = this.#sha256?.digest();
    if (bodySha256 && bodySha256.toString("hex") !== sha256) throw s3Error("XAmzContentSHA256Mismatch");
    if (expectedMd5 !== undefined && md5.toString("base64") !== expectedMd5) {
      throw s3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
    }
    if (!checksum) return { md5: md5.toString("hex"), checksum: undefined };
    const value = (this.#checksum?.digest() ?? bodySha256 ?? Buffer.alloc(0)).toString("base64");
    const expected = checksum.expected();
    if (expected !== undefined && expected !== value) {
      throw s3Error("BadDigest", `The ${checksum.algorithm} you specified did not match the calculated checksum.`);
    }
    return { md5: md5.toString("hex"), checksum: { algorithm: checksum.algorithm, type: "FULL_OBJECT", value } };
  }
}
