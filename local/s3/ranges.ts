/** What a `Range` header asks of an object: first and last byte, both included. */
export type RangeRequest =
  | { kind: "whole" }
  | { kind: "range"; firstByte: number; lastByte: number }
  | { kind: "unsatisfiable" };

const whole: RangeRequest = { kind: "whole" };

/**
 * Reads a `Range` header against an object's size. One range of bytes is understood (`0-9`, `5-`, `-3`); anything
 * else means the whole object, as RFC 9110 has it and as S3 does it.
 */
export function parseRange(header: string | undefined, sizeBytes: number): RangeRequest {
  const match = header === undefined ? null : /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim());
  if (!match) return whole;
  const [, first = "", last = ""] = match;
  if (first === "") {
    if (last === "") return whole;
    const suffixBytes = Math.min(Number(last), sizeBytes);
    return suffixBytes === 0
      ? { kind: "unsatisfiable" }
      : { kind: "range", firstByte: sizeBytes - suffixBytes, lastByte: sizeBytes - 1 };
  }
  const firstByte = Number(first);
  if (last !== "" && Number(last) < firstByte) return whole;
  if (firstByte >= sizeBytes) return { kind: "unsatisfiable" };
  const lastByte = last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  return { kind: "range", firstByte, lastByte };
}
