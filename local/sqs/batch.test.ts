import { describe, expect, it } from "vitest";
import { parseBatchEntries, runBatch } from "./batch.ts";
import { SqsError } from "./errors.ts";

const entriesOf = (...ids: string[]) => parseBatchEntries({ Entries: ids.map((Id) => ({ Id })) });

describe("parseBatchEntries", () => {
  it("refuses what makes a whole request invalid", () => {
    expect(() => parseBatchEntries({})).toThrow(/at least one/);
    expect(() => entriesOf(...Array.from({ length: 11 }, (_, index) => `${index}`))).toThrow(/have sent 11/);
    expect(() => entriesOf("a", "a")).toThrow(/Id a repeated/);
    expect(() => entriesOf("")).toThrow(/80 letters/);
    expect(() => parseBatchEntries({ Entries: ["text"] })).toThrow(/JSON object/);
  });
});

describe("runBatch", () => {
  it("reports each entry by itself and leaves out lists without entries", () => {
    const result = runBatch(entriesOf("good", "bad"), (fields) => {
      if (fields.Id === "bad") throw new SqsError("ReceiptHandleIsInvalid", "no receipt");
      return { MessageId: "m" };
    });
    expect(result).toEqual({
      Successful: [{ Id: "good", MessageId: "m" }],
      Failed: [{ Id: "bad", SenderFault: true, Code: "ReceiptHandleIsInvalid", Message: "no receipt" }],
    });
    expect(runBatch(entriesOf("a"), () => ({}))).toEqual({ Successful: [{ Id: "a" }] });
  });

  it("fails as a whole when the server is at fault", () => {
    expect(() =>
      runBatch(entriesOf("a"), () => {
        throw new TypeError("a bug");
      }),
    ).toThrow("a bug");
  });
});
