import { SqsError } from "./errors.ts";

/** What a receipt handle stands for: one delivery of one message of one queue. */
export type Receipt = { readonly messageRow: number; readonly receiveCount: number };

/** Writes the handle a client gets for a delivery. Rows are never used twice, so a handle never names another message. */
export function encodeReceipt(queueKey: string, receipt: Receipt): string {
  return Buffer.from(`${queueKey}:${receipt.messageRow}:${receipt.receiveCount}`).toString("base64url");
}

/** Reads a handle back; one of another queue, or none at all, is refused as AWS does. */
export function decodeReceipt(queueKey: string, handle: string): Receipt {
  const match = /^([0-9a-f]+):(\d+):(\d+)$/.exec(Buffer.from(handle, "base64url").toString("latin1"));
  if (match === null || match[1] !== queueKey) {
    throw new SqsError("ReceiptHandleIsInvalid", `The input receipt handle "${handle}" is not a valid receipt handle.`);
  }
  return { messageRow: Number(match[2]), receiveCount: Number(match[3]) };
}
