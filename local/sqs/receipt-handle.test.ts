import { describe, expect, it } from "vitest";
import { decodeReceipt, encodeReceipt } from "./receipt-handle.ts";

describe("receipt handles", () => {
  it("name one delivery of one message", () => {
    const receipt = { messageRow: 12, receiveCount: 3 };
    expect(decodeReceipt("00ff00ff", encodeReceipt("00ff00ff", receipt))).toEqual(receipt);
  });

  it("are refused by another queue, and so is what is none", () => {
    const handle = encodeReceipt("00ff00ff", { messageRow: 1, receiveCount: 1 });
    for (const foreign of [handle, "", "garbage", Buffer.from("00ff00fe:1").toString("base64url")]) {
      expect(() => decodeReceipt("00ff00fe", foreign)).toThrow(/is not a valid receipt handle/);
    }
  });
});
