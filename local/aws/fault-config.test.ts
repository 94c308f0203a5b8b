import { describe, expect, it } from "vitest";
import { parseFaults } from "./fault-config.ts";

describe("parseFaults", () => {
  it("means no faults by nothing at all", () => {
    const none = { ok: true, faults: { dynamodb: [], sqs: [], s3: [] } };
    expect(parseFaults(undefined)).toEqual(none);
    expect(parseFaults("")).toEqual(none);
  });

  it("reads rules by service", () => {
    const rule = { operation: "PutObject", kind: "lost_answer", everyNth: 3 };
    expect(parseFaults(JSON.stringify({ s3: [rule] }))).toEqual({
      ok: true,
      faults: { dynamodb: [], sqs: [], s3: [rule] },
    });
  });

  it("tells all that is wrong at once", () => {
    const text = JSON.stringify({
      s3: [{ operation: "PutObject", kind: "explode" }],
      sqs: [{ kind: "reset", nth: 0 }],
    });
    const parsed = parseFaults(text);
    expect(parsed).toMatchObject({ ok: false, problem: expect.stringContaining("s3.0.kind") });
    expect(parsed).toMatchObject({ problem: expect.stringContaining("sqs.0.operation") });
    expect(parsed).toMatchObject({ problem: expect.stringContaining("sqs.0.nth") });
    expect(parseFaults("{")).toMatchObject({ ok: false });
    expect(parseFaults('{"ec2": []}')).toMatchObject({ ok: false, problem: expect.stringContaining("ec2") });
  });
});
