import { describe, expect, it } from "vitest";
import { SecretMatcher } from "./secret-matcher.ts";
import { maskText, StreamMasker } from "./stream-masker.ts";

function maskPieces(values: readonly string[], pieces: readonly string[]): string[] {
  const masker = new StreamMasker(new SecretMatcher(values));
  return [...pieces.map((piece) => masker.push(Buffer.from(piece)).toString()), masker.end().toString()];
}

describe("StreamMasker", () => {
  it("masks a secret, however it is cut", () => {
    expect(maskPieces(["hunter22"], ["my hunt", "e", "r22 is"]).join("")).toBe("my *** is");
  });

  it("holds back only what could become a secret, and shows it when it does not", () => {
    expect(maskPieces(["hunter22"], ["my hunt", "ing", " hunter2"])).toEqual(["my ", "hunting", " ", "hunter2"]);
  });

  it("makes one mask of secrets that overlap or touch", () => {
    expect(maskPieces(["abcdef", "defghi"], ["-abcdefghi-abcdefdefghi-"]).join("")).toBe("-***-***-");
    expect(maskPieces(["abcdef", "defghi"], [..."-abcdefghi-abcdefdefghi-"]).join("")).toBe("-***-***-");
  });

  it("masks a secret that begins another, and the longer one where it is whole", () => {
    expect(maskPieces(["pass", "password"], ["pass", "word pass", "wor"]).join("")).toBe("*** ***wor");
  });

  it("masks a secret of many lines as a whole and line by line", () => {
    const key =
      "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\n-----END KEY-----\n";
    const lines = key.trim().split("\n");
    expect(maskPieces([key], [key]).join("")).toBe("***");
    expect(maskPieces([key], [lines.join(" | ")]).join("")).toBe("*** | *** | ***");
    expect(maskPieces([key], [lines.map((line) => `${line}\r\n`).join("")]).join("")).not.toContain("MIIBOg");
  });

  it("masks whatever whole piece of a long secret is shown", () => {
    const long = Array.from({ length: 300 }, (_, index) => String.fromCharCode(97 + ((index * 7) % 26))).join("");
    expect(maskPieces([long], [`<${long}>`]).join("")).toBe("<***>");
    expect(maskPieces([long], [`<${long.slice(10, 200)}>`]).join("").length).toBeLessThan(70);
  });

  it("lets everything pass where there is nothing to mask", () => {
    const bytes = Buffer.from("abc");
    expect(new StreamMasker(new SecretMatcher([])).push(bytes)).toBe(bytes);
    expect(maskPieces(["abc"], ["abc"]).join("")).toBe("abc");
  });

  it("masks a text, also where it is no more than the secret", () => {
    const matcher = new SecretMatcher(["s3cr3t", "ünïcödé"]);
    expect(maskText(matcher, "s3cr3t")).toBe("***");
    expect(maskText(matcher, "a ünïcödé b")).toBe("a *** b");
    expect(maskText(matcher, "nothing here")).toBe("nothing here");
  });
});
