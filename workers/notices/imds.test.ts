import { describe, expect, it } from "vitest";
import { startMetadataServer } from "../../test/support/metadata-server.ts";
import { Imds } from "./imds.ts";

const deadlineMs = 5_000;
const isTokenCall = (question: string) => question.startsWith("PUT");

describe("Imds", () => {
  it("asks for a token once, and again when half of its time is over", async () => {
    const metadata = await startMetadataServer();
    let nowMs = 0;
    const imds = new Imds(new URL(metadata.url), () => nowMs);
    expect(await imds.read("instance-id", deadlineMs)).toMatchObject({ status: 200, text: "i-0123456789abcdef0" });
    expect(await imds.read("spot/instance-action", deadlineMs)).toMatchObject({ status: 404, text: "" });
    expect(metadata.asked.filter(isTokenCall)).toHaveLength(1);
    nowMs = 3 * 3600_000;
    await imds.read("instance-id", deadlineMs);
    expect(metadata.asked.filter(isTokenCall)).toHaveLength(2);
  });

  it("asks for another token where the one it has is refused, once", async () => {
    const metadata = await startMetadataServer();
    const imds = new Imds(new URL(metadata.url), () => 0);
    await imds.read("instance-id", deadlineMs);
    metadata.tokens.clear();
    expect(await imds.read("instance-id", deadlineMs)).toMatchObject({ status: 200 });
    metadata.mood = { kind: "all", status: 401, text: "" };
    expect(await imds.read("instance-id", deadlineMs)).toBeUndefined();
    expect(metadata.asked.length).toBeLessThan(10);
  });

  it("takes no answer, a late one, an endless one and a token that is none for nobody", async () => {
    const metadata = await startMetadataServer();
    const imds = new Imds(new URL(metadata.url), () => performance.now());
    metadata.mood = { kind: "silent" };
    expect(await imds.read("instance-id", 50)).toBeUndefined();
    for (const text of ["", "two\r\nlines", "x".repeat(2_000_000)]) {
      metadata.mood = { kind: "all", status: 200, text };
      expect(await imds.read("instance-id", deadlineMs)).toBeUndefined();
    }
    const nowhere = new Imds(new URL("http://127.0.0.1:9"), () => performance.now());
    expect(await nowhere.read("instance-id", deadlineMs)).toBeUndefined();
  });
});
