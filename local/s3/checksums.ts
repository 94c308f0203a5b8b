import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

/** The additional checksums the server computes and checks. (CRC64NVME is not among them.) */
export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "SHA1" | "SHA256";

/** A checksum as it is stored and answered; `value` is base64, with `-N` behind it where it is composite. */
export interface Checksum {
  algorithm: ChecksumAlgorithm;
  type: "FULL_OBJECT" | "COMPOSITE";
  value: string;
}

/** All algorithms, in the order in which they are looked for. */
export const checksumAlgorithms: readonly ChecksumAlgorithm[] = ["CRC32", "CRC32C", "SHA1", "SHA256"];

const digestBytes: Record<ChecksumAlgorithm, number> = { CRC32: 4, CRC32C: 4, SHA1: 20, SHA256: 32 };
// The generator polynomials, bits reversed.
const polynomials = { CRC32: 0xedb88320, CRC32C: 0x82f63b78 } as const;

/** A checksum over data that comes in pieces. */
export interface RunningChecksum {
  update(chunk: Uint8Array): void;
  digest(): Buffer;
}

/** Starts a checksum. */
export function createChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  if (algorithm === "SHA1" || algorithm === "SHA256") return createHash(algorithm.toLowerCase());
  const next = algorithm === "CRC32" ? crc32 : crc32c;
  let value = 0;
  return {
    update(chunk) {
      value = next(chunk, value);
    },
    digest: () => toBytes(value),
  };
}

/** The header (and trailer) that carries this checksum. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** The XML element that carries this checksum. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

/** Whether a value is base64 of the algorithm's length. */
export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, "base64");
  return bytes.length === digestBytes[algorithm] && bytes.toString("base64") === value;
}

/** The checksum of checksums of a multipart object: over the parts' digests, with the number of parts behind it. */
export function composeChecksum(algorithm: ChecksumAlgorithm, partValues: readonly string[]): string {
  const checksum = createChecksum(algorithm);
  for (const value of partValues) checksum.update(Buffer.from(value, "base64"));
  return `${checksum.digest().toString("base64")}-${partValues.length}`;
}

/** The CRC of the concatenation of parts, from the parts' CRCs and sizes in bytes; nothing is read again. */
export function combineCrcs(
  algorithm: "CRC32" | "CRC32C",
  parts: readonly { value: string; sizeBytes: number }[],
): string {
  let combined = 0;
  for (const part of parts) {
    const own = Buffer.from(part.value, "base64").readUInt32BE();
    combined = (shiftCrc(combined, part.sizeBytes, polynomials[algorithm]) ^ own) >>> 0;
  }
  return toBytes(combined).toString("base64");
}

function toBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Eight tables of 256 entries: eight bytes are folded in one step ("slicing by 8"), several times faster than one. */
const tables = buildTables(polynomials.CRC32C);

function buildTables(polynomial: number): Uint32Array {
  const built = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    built[byte] = value;
  }
  for (let index = 256; index < built.length; index += 1) {
    const before = built[index - 256] ?? 0;
    built[index] = (before >>> 8) ^ (built[before & 0xff] ?? 0);
  }
  return built;
}

function crc32c(data: Uint8Array, start: number): number {
  const t = tables;
  let crc = ~start;
  let index = 0;
  // The `?? 0` of checked indexing costs half the speed here, hence the casts: every index is masked to the table.
  for (const end = data.length - 7; index < end; index += 8) {
    crc ^=
      (data[index] as number) |
      ((data[index + 1] as number) << 8) |
      ((data[index + 2] as number) << 16) |
      ((data[index + 3] as number) << 24);
    crc =
      (t[0x700 + (crc & 0xff)] as number) ^
      (t[0x600 + ((crc >>> 8) & 0xff)] as number) ^
      (t[0x500 + ((crc >>> 16) & 0xff)] as number) ^
      (t[0x400 + (crc >>> 24)] as number) ^
      (t[0x300 + (data[index + 4] as number)] as number) ^
      (t[0x200 + (data[index + 5] as number)] as number) ^
      (t[0x100 + (data[index + 6] as number)] as number) ^
      (t[data[index + 7] as number] as number);
  }
  for (; index < data.length; index += 1) {
    crc = (crc >>> 8) ^ (t[(crc ^ (data[index] as number)) & 0xff] as number);
  }
  return ~crc >>> 0;
}

/** What a CRC becomes when `sizeBytes` zero bytes follow: multiplication by x^(8n) modulo the polynomial. */
function shiftCrc(crc: number, sizeBytes: number, polynomial: number): number {
  let power = 0x00800000; // x^8, bits reversed: one zero byte
  let result = crc;
  for (let rest = sizeBytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiplyModulo(result, power, polynomial);
    power = multiplyModulo(power, power, polynomial);
  }
  return result >>> 0;
}

/** Product of two polynomials over GF(2), bits reversed, modulo the generator. */
function multiplyModulo(a: number, b: number, polynomial: number): number {
  let product = 0;
  let shifted = b;
  for (let mask = 0x80000000; mask !== 0; mask >>>= 1) {
    if ((a & mask) !== 0) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product >>> 0;
}
