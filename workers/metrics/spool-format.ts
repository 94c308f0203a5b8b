import { crc32 } from "node:zlib";
import * as z from "zod";
import { metricSampleSchema } from "../../shared/domain/metric-sample.ts";

/** Whose samples a spool holds. */
export const spoolOwnerSchema = z.object({
  jobId: z.string(),
  task: z.string(),
  attempt: z.number().int().min(1),
  workerId: z.string(),
});
export type SpoolOwner = z.infer<typeof spoolOwnerSchema>;

/**
 * A record of a spool. The first tells whose it is. `cut`: the next samples that belong to no snapshot yet, so many, are
 * the snapshot of that number; written before it is put, so that a put that is repeated is the same. `stored`: it is put.
 */
const spoolRecordSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("owner"), v: z.literal(1), owner: spoolOwnerSchema }),
  z.object({ kind: z.literal("sample"), sample: metricSampleSchema }),
  z.object({ kind: z.literal("cut"), sequence: z.number().int().min(1), samples: z.number().int().min(1) }),
  z.object({ kind: z.literal("stored"), sequence: z.number().int().min(1) }),
]);
export type SpoolRecord = z.infer<typeof spoolRecordSchema>;

/** Length and CRC-32 of what follows, little-endian. */
const headBytes = 8;
/** Larger than any sample; a length beyond it is no length. */
const maxRecordBytes = 1024 * 1024;

/** A record as it stands in the file. */
export function frameRecord(record: SpoolRecord): Buffer {
  const payload = Buffer.from(JSON.stringify(record));
  const frame = Buffer.allocUnsafe(headBytes + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  payload.copy(frame, headBytes);
  return frame;
}

/**
 * The records of a spool up to the first that is not whole: what was being written when its worker or its machine died
 * is cut off, and with it all that follows. A run of zeros, as file systems leave it after a power cut, is no record.
 */
export function readRecords(bytes: Buffer): SpoolRecord[] {
  const records: SpoolRecord[] = [];
  for (let at = 0; at + headBytes <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const end = at + headBytes + length;
    if (length === 0 || length > maxRecordBytes || end > bytes.length) break;
    const payload = bytes.subarray(at + headBytes, end);
    if (crc32(payload) !== bytes.readUInt32LE(at + 4)) break;
    const record = spoolRecordSchema.safeParse(JSON.parse(payload.toString("utf8")));
    // Of another version: whoever wrote it knows what it means.
    if (!record.success) break;
    records.push(record.data);
    at = end;
  }
  return records;
}
