import type { Segment } from "./blobs.ts";
import type { Checksum, ChecksumAlgorithm } from "./checksums.ts";

/** What a client said about an object when it wrote it, and gets back when it reads it. */
export interface ObjectAttributes {
  /** Response headers by lower-case name: content-type, cache-control and their like. */
  headers: Readonly<Record<string, string>>;
  /** User metadata, names in lower case without `x-amz-meta-`. */
  metadata: Readonly<Record<string, string>>;
  checksum?: Checksum;
  /** The multipart upload this object came from: a repeated completion is then answered, not refused. */
  uploadId?: string;
}

/** A tag of an object or bucket. */
export interface Tag {
  key: string;
  value: string;
}

/** Where an object's bytes are. */
export type StoredBody = { kind: "inline"; bytes: Uint8Array } | { kind: "files"; segments: readonly Segment[] };

/** An object as the index has it; an inline body is read separately. */
export interface StoredObject {
  objectId: number;
  bucket: string;
  key: string;
  /** Without quotes. */
  etag: string;
  sizeBytes: number;
  modifiedMs: number;
  attributes: ObjectAttributes;
  tags: readonly Tag[];
  /** The object's files; undefined when its body is in the index. Of a multipart object, one for each part. */
  segments: readonly Segment[] | undefined;
}

/** An object to be stored. */
export interface NewObject extends Omit<StoredObject, "objectId" | "segments"> {
  body: StoredBody;
}

/** The checksum a multipart upload was created with. */
export interface UploadChecksum {
  algorithm: ChecksumAlgorithm;
  type: Checksum["type"];
}

/** A multipart upload that is open. */
export interface StoredUpload {
  uploadId: string;
  bucket: string;
  key: string;
  startedMs: number;
  attributes: ObjectAttributes;
  tags: readonly Tag[];
  checksum: UploadChecksum | undefined;
}

/** A part of an open upload. */
export interface StoredPart {
  partNumber: number;
  etag: string;
  modifiedMs: number;
  segment: Segment;
  checksum: Checksum | undefined;
}
