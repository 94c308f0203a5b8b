import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { GetCommand, PutCommand, TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DynamoDbServer, startDynamoDb } from "../../local/dynamodb/index.ts";
import { findChildren, findGroup, isRunning, waitUntil } from "./dynamodb/processes.ts";
import { findOpenShard, openIterator, readRecords, summarise } from "./dynamodb/streams.ts";
import { connectTarget, createTable, settle, type Target } from "./dynamodb/target.ts";

const CREDENTIALS = { accessKeyId: "local", secretAccessKey: "local" };

let dataDir: string;
const started: (() => Promise<void>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-dynamodb-"));
});
afterEach(async () => {
  for (const stop of started.splice(0).toReversed()) await stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<DynamoDbServer> {
  const server = await startDynamoDb({ dataDir });
  started.push(() => server.stop());
  return server;
}

function connect(url: string): Target {
  const target = connectTarget("embedded", { endpoint: url, region: "us-east-1", credentials: CREDENTIALS });
  started.push(() => target.stop());
  return target;
}

/** The watcher is the only child that the server's process has. */
function findWatcher(server: { readonly pid: number }): number {
  const [watcher, ...others] = findChildren(server.pid);
  if (watcher === undefined || others.length > 0) throw new Error(`expected one watcher below ${server.pid}`);
  return watcher;
}

/** A process of its own, to be killed: starts the server on the folder given, tells where it is and stays. */
const PARENT_PROGRAM = `
  import { startDynamoDb } from ${JSON.stringify(new URL("../../local/dynamodb/index.ts", import.meta.url).href)};
  const server = await startDynamoDb({ dataDir: process.argv[1] });
  console.log(JSON.stringify({ pid: server.pid, url: server.url }));
  await server.exited;
`;

describe("the embedded DynamoDB's process", () => {
  async function startParent(): Promise<{ parent: ChildProcess; pid: number; url: string }> {
    const parent = spawn(process.execPath, ["--input-type=module", "--eval", PARENT_PROGRAM, dataDir], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(async () => {
      parent.kill("SIGKILL");
    });
    if (parent.stdout === null) throw new Error("the parent has no output");
    const [line] = await once(createInterface({ input: parent.stdout }), "line");
    return { parent, ...(JSON.parse(line) as { pid: number; url: string }) };
  }

  it("is gone, watcher and all, when its parent is killed with -9", async () => {
    const { parent, pid } = await startParent();
    const watcher = findWatcher({ pid });
    parent.kill("SIGKILL");
    await waitUntil("the server has ended", () => !isRunning(pid));
    await waitUntil("the watcher has ended", () => !isRunning(watcher));
  });

  it("keeps what a parent killed with -9 had acknowledged, for the next one", async () => {
    const first = await startParent();
    const before = connect(first.url);
    const table = await createTable(before);
    await before.documents.send(new PutCommand({ TableName: table, Item: { pk: "a", sk: "1" } }));
    first.parent.kill("SIGKILL");
    const second = await startParent();
    const { Item } = await connect(second.url).documents.send(
      new GetCommand({ TableName: table, Key: { pk: "a", sk: "1" } }),
    );
    expect(Item).toEqual({ pk: "a", sk: "1" });
  });

  it("is ended by its parent when its watcher is killed with -9", async () => {
    const server = await start();
    process.kill(findWatcher(server), "SIGKILL");
    expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(isRunning(server.pid)).toBe(false);
  });

  it("tells its parent and takes its watcher along when it is itself killed with -9", async () => {
    const server = await start();
    const watcher = findWatcher(server);
    process.kill(server.pid, "SIGKILL");
    expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
    await waitUntil("the watcher has ended", () => !isRunning(watcher));
  });

  it("ends with code 0 and leaves no process when it is stopped, however often", async () => {
    const server = await start();
    const watcher = findWatcher(server);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(await server.exited).toEqual({ code: 0, signal: null });
    await waitUntil("the watcher has ended", () => !isRunning(watcher));
  });

  it("is out of reach of a Ctrl-C meant for its parent", async () => {
    const server = await start();
    expect(findGroup(server.pid)).toBe(server.pid);
    expect(findGroup(process.pid)).not.toBe(server.pid);
  });
});

describe("the embedded DynamoDB's start", () => {
  it("says which port is taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    started.push(async () => {
      other.close();
    });
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(startDynamoDb({ dataDir, port })).rejects.toThrow(`port ${port} for the embedded DynamoDB is taken`);
  });

  it("says what is wrong with a data file that is none, and leaves it alone", async () => {
    await writeFile(
      join(dataDir, "dynamodb.sqlite"),
      "not a database, and longer than one header of a hundred bytes".repeat(4),
    );
    await expect(startDynamoDb({ dataDir })).rejects.toThrow(/ended at its start.*not a valid SQLite database/s);
  });

  it("gives up on a server that does not answer in time, and ends it", async () => {
    const silent = join(dataDir, "silent.sh");
    await writeFile(silent, `#!/bin/sh\necho $$ > ${dataDir}/pid\nexec sleep 600\n`, { mode: 0o755 });
    const attempt = startDynamoDb({ dataDir, binaryPath: silent, readyDeadlineMs: 300 });
    await expect(attempt).rejects.toThrow("was not ready after 300 ms");
    expect(isRunning(Number(await readFile(join(dataDir, "pid"), "utf8")))).toBe(false);
  });
});

describe("the embedded DynamoDB's data", () => {
  it("holds every write and every whole transaction that was acknowledged before a kill -9", async () => {
    const server = await start();
    const target = connect(server.url);
    const table = await createTable(target);
    const acknowledged: string[] = [];
    let acknowledgedTransactions = 0;
    const writeItems = async (writer: number) => {
      for (let n = 0; ; n += 1) {
        const pk = `item-${writer}-${n}`;
        await target.documents.send(new PutCommand({ TableName: table, Item: { pk, sk: "0" } }));
        acknowledged.push(pk);
      }
    };
    const writeTransactions = async () => {
      for (let n = 0; ; n += 1) {
        const pk = `transaction-${n}`;
        const items = ["0", "1", "2", "3"].map((sk) => ({ Put: { TableName: table, Item: { pk, sk } } }));
        await target.documents.send(new TransactWriteCommand({ TransactItems: items }));
        acknowledged.push(pk);
        acknowledgedTransactions = n + 1;
      }
    };
    // Each writer goes on until the server is gone.
    const writers = [writeItems(0), writeItems(1), writeTransactions()].map((writer) => writer.catch(() => "cut off"));
    await waitUntil("enough was written", () => acknowledged.length > 150 && acknowledgedTransactions > 20);
    process.kill(server.pid, "SIGKILL");
    await Promise.all(writers);
    await server.exited;

    const again = connect((await start()).url);
    const has = async (pk: string, sk: string) =>
      (await again.documents.send(new GetCommand({ TableName: table, Key: { pk, sk } }))).Item !== undefined;
    for (const pk of acknowledged) expect(await has(pk, "0")).toBe(true);
    // One more than acknowledged may have been cut off: whole or not at all.
    for (let n = 0; n <= acknowledgedTransactions; n += 1) {
      const parts = await Promise.all(["0", "1", "2", "3"].map((sk) => has(`transaction-${n}`, sk)));
      expect(new Set(parts).size).toBe(1);
    }
  });

  it("continues a stream after the last record read, over a kill -9 and a restart", async () => {
    const server = await start();
    const target = connect(server.url);
    const table = await createTable(target);
    const put = (on: Target, sk: string) =>
      on.documents.send(new PutCommand({ TableName: table, Item: { pk: "a", sk } }));
    for (const sk of ["1", "2", "3"]) await put(target, sk);
    const shard = await findOpenShard(target, table);
    const fromStart = await openIterator(target, shard, { ShardIteratorType: "TRIM_HORIZON" });
    const [, second] = await readRecords(target, fromStart);
    process.kill(server.pid, "SIGKILL");
    await server.exited;

    const again = connect((await start()).url);
    await put(again, "4");
    expect(await findOpenShard(again, table)).toEqual(shard);
    const rest = await openIterator(again, shard, {
      ShardIteratorType: "AFTER_SEQUENCE_NUMBER",
      SequenceNumber: second?.dynamodb?.SequenceNumber,
    });
    expect((await readRecords(again, rest)).map((record) => summarise(record)[2]?.sk)).toEqual(["3", "4"]);
    // Iterators are positions, so one from before serves as well.
    expect(await readRecords(again, fromStart)).toHaveLength(4);
  });

  it("forgets idempotency tokens at a restart, unlike DynamoDB, which keeps them for ten minutes", async () => {
    const server = await start();
    const target = connect(server.url);
    const table = await createTable(target);
    const request = {
      ClientRequestToken: "one-token",
      TransactItems: [
        {
          Put: { TableName: table, Item: { pk: "a", sk: "1" }, ConditionExpression: "attribute_not_exists(pk)" },
        },
      ],
    };
    await target.documents.send(new TransactWriteCommand(request));
    await target.documents.send(new TransactWriteCommand(request));
    await server.stop();
    const again = connect((await start()).url);
    const outcome = await settle(again.documents.send(new TransactWriteCommand(request)));
    expect(outcome).toMatchObject({ ok: false, reasons: ["ConditionalCheckFailed"] });
  });

  it("finds the next sequence number and a reader's place in a stream by index", async () => {
    await start();
    const database = new DatabaseSync(join(dataDir, "dynamodb.sqlite"), { readOnly: true });
    started.push(async () => database.close());
    const explain = (query: string) =>
      database
        .prepare(`EXPLAIN QUERY PLAN ${query}`)
        .all()
        .map((row) => String(row.detail))
        .join("; ");
    // The queries of dynoxide: an index on an expression serves only the very same expression.
    const next =
      "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 't'";
    expect(explain(next)).toContain("sluice_stream_last");
    const page = `SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity
      FROM _stream_records WHERE table_name = 't' AND shard_id = 's' AND CAST(sequence_number AS INTEGER) > 5
      ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 10`;
    expect(explain(page)).toBe(
      "SEARCH _stream_records USING INDEX sluice_stream_order (table_name=? AND shard_id=? AND <expr>>?)",
    );
  });

  it("trims what was read and is old enough from a stream, and goes on counting", async () => {
    const server = await start();
    const target = connect(server.url);
    const [table, other] = [await createTable(target), await createTable(target)];
    const put = (TableName: string, sk: string) =>
      target.documents.send(new PutCommand({ TableName, Item: { pk: "a", sk } }));
    for (let n = 1; n <= 1200; n += 100) {
      const items = Array.from({ length: 100 }, (_, i) => ({
        Put: { TableName: table, Item: { pk: "a", sk: `${n + i}` } },
      }));
      await target.documents.send(new TransactWriteCommand({ TransactItems: items }));
    }
    await put(other, "1");
    const read = async (name: string) => {
      const start = await openIterator(target, await findOpenShard(target, name), {
        ShardIteratorType: "TRIM_HORIZON",
      });
      return (await readRecords(target, start)).map((record) => record.dynamodb?.SequenceNumber);
    };
    const later = new Date(Date.now() + 25 * 60 * 60 * 1000);
    const trim = (throughSequenceNumber: string, now: Date) =>
      server.trimStream({ tableName: table, throughSequenceNumber, now });
    expect(await trim("1190", new Date())).toBe(0);
    expect(await trim("1190", later)).toBe(1190);
    expect(await read(table)).toEqual(Array.from({ length: 10 }, (_, index) => `${1191 + index}`));
    expect(await trim("5000", later)).toBe(9);
    await put(table, "new");
    expect(await read(table)).toEqual(["1200", "1201"]);
    expect(await read(other)).toEqual(["1"]);
  });
});
