import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  combineCrcs,
  composeChecksum,
  createChecksum,
  isChecksumValue,
} from "./checksums.ts";

function digest(algorithm: ChecksumAlgorithm, data: Uint8Array): string {
  const checksum = createChecksum(algorithm);
  checksum.update(data);
  return checksum.digest().toString("base64");
}

describe("createChecksum", () => {
  test.each([
    // The check values of the CRC catalogue and of FIPS 180, for "123456789".
    ["CRC32", "cbf43926"],
    ["CRC32C", "e3069283"],
    ["SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"],
    ["SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"],
  ] as const)("computes %s", (algorithm, hex) => {
    expect(digest(algorithm, Buffer.from("123456789"))).toBe(Buffer.from(hex, "hex").toString("base64"));
  });

  test.each(checksumAlgorithms)("gives the same %s whatever the pieces", (algorithm) => {
    const data = randomBytes(1003);
    const checksum = createChecksum(algorithm);
    for (let start = 0; start < data.length; start += 13) checksum.update(data.subarray(start, start + 13));
    expect(checksum.digest().toString("base64")).toBe(digest(algorithm, data));
  });
});

describe("combineCrcs", () => {
  test.each(["CRC32", "CRC32C"] as const)("equals the %s of the whole", (algorithm) => {
    const data = randomBytes(100_000);
    const cuts = [0, 1, 1, 70_001, 99_999, 100_000];
    const parts = cuts.slice(1).map((end, index) => {
      const part = data.subarray(cuts[index], end);
      return { value: digest(algorithm, part), sizeBytes: part.length };
    });
    expect(combineCrcs(algorithm, parts)).toBe(digest(algorithm, data));
  });
});

describe("composeChecksum", () => {
  test("hashes the parts' digests and names their number", () => {
    const parts = [digest("SHA256", Buffer.from("a")), digest("SHA256", Buffer.from("b"))];
    const joined = Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
    expect(composeChecksum("SHA256", parts)).toBe(`${digest("SHA256", joined)}-2`);
  });
});

describe("isChecksumValue", () => {
  test("takes only canonical base64 of the right length", () => {
    expect(isChecksumValue("CRC32", "NhCmhg==")).toBe(true);
    for (const value of ["NhCmhg", "", "NhCmhgA=", "not base64"]) expect(isChecksumValue("CRC32", value)).toBe(false);
  });
});
