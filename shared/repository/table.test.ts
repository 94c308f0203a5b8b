import {
  ConditionalCheckFailedException,
  TransactionCanceledException,
  TransactionConflictException,
} from "@aws-sdk/client-dynamodb";
import { BatchGetCommand, type BatchGetCommandInput, type TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { describe, expect, it } from "vitest";
import { getItems, type Table, updateItem, writeTransaction } from "./table.ts";

const $metadata = {};
const cancelled = (...codes: string[]) =>
  new TransactionCanceledException({ message: "", $metadata, CancellationReasons: codes.map((Code) => ({ Code })) });

/** A table that answers one after the other with what it is given: errors are thrown. */
function createTable(answers: readonly (object | Error)[]): { table: Table; sent: unknown[] } {
  const left = [...answers];
  const sent: unknown[] = [];
  const send = async (command: unknown) => {
    sent.push(command);
    const answer = left.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? {};
  };
  return { table: { name: "table", client: { send } as unknown as Table["client"] }, sent };
}

describe("a transaction", () => {
  it("is written", async () => {
    expect(await writeTransaction(createTable([{}]).table, [])).toEqual({ ok: true });
  });

  it("tells which conditions did not hold", async () => {
    const { table, sent } = createTable([
      cancelled("None", "ConditionalCheckFailed", "None", "ConditionalCheckFailed"),
    ]);
    expect(await writeTransaction(table, [])).toEqual({ ok: false, failedConditions: [1, 3] });
    expect(sent).toHaveLength(1);
  });

  it.each(["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])(
    "is tried again after %s",
    async (code) => {
      const { table, sent } = createTable([cancelled("None", code), cancelled(code), {}]);
      expect(await writeTransaction(table, [])).toEqual({ ok: true });
      expect(sent).toHaveLength(3);
    },
  );

  it("has a token of its own at each try, by which the table knows one that comes twice", async () => {
    const { table, sent } = createTable([cancelled("TransactionConflict"), {}]);
    await writeTransaction(table, []);
    const tokens = sent.map((command) => (command as TransactWriteCommand).input.ClientRequestToken);
    expect(tokens.every((token) => token?.length === 36)).toBe(true);
    expect(new Set(tokens).size).toBe(2);
  });

  it("throws what trying again does not mend", async () => {
    await expect(writeTransaction(createTable([cancelled("ValidationError")]).table, [])).rejects.toThrow();
    await expect(writeTransaction(createTable([new Error("away")]).table, [])).rejects.toThrow("away");
  });
});

describe("an update", () => {
  const input = { Key: { pk: "a", sk: "b" } };

  it("answers the item after it", async () => {
    const { table } = createTable([{ Attributes: { n: 1 } }]);
    expect(await updateItem(table, input)).toEqual({ ok: true, item: { n: 1 } });
  });

  it("answers the item that did not meet its condition, if there is one", async () => {
    const refused = new ConditionalCheckFailedException({ message: "", $metadata, Item: { n: { N: "7" } } });
    expect(await updateItem(createTable([refused]).table, input)).toEqual({ ok: false, item: { n: 7 } });
    const missing = new ConditionalCheckFailedException({ message: "", $metadata });
    expect(await updateItem(createTable([missing]).table, input)).toEqual({ ok: false });
  });

  it("waits for a transaction on the same item", async () => {
    const conflict = () => new TransactionConflictException({ message: "", $metadata });
    const { table, sent } = createTable([conflict(), conflict(), { Attributes: {} }]);
    expect(await updateItem(table, input)).toEqual({ ok: true, item: {} });
    expect(sent).toHaveLength(3);
  });
});

describe("a read of many items", () => {
  const keysOf = (count: number) => Array.from({ length: count }, (_, index) => ({ pk: "a", sk: `${index}` }));
  const requestOf = (command: unknown) =>
    (command instanceof BatchGetCommand ? (command.input as BatchGetCommandInput).RequestItems?.table?.Keys : []) ?? [];

  it("asks for at most a hundred at once", async () => {
    const { table, sent } = createTable([]);
    await getItems(table, keysOf(250));
    expect(sent.map((command) => requestOf(command).length)).toEqual([100, 100, 50]);
  });

  it("asks again for what was left unanswered", async () => {
    const [first, second] = [
      { pk: "a", sk: "0" },
      { pk: "a", sk: "1" },
    ];
    const { table, sent } = createTable([
      { Responses: { table: [first] }, UnprocessedKeys: { table: { Keys: [second] } } },
      { Responses: { table: [second] } },
    ]);
    expect(await getItems(table, [first, second])).toEqual([first, second]);
    expect(requestOf(sent[1])).toEqual([second]);
  });

  it("asks for nothing where nothing is wanted", async () => {
    const { table, sent } = createTable([]);
    expect(await getItems(table, [])).toEqual([]);
    expect(sent).toEqual([]);
  });
});
