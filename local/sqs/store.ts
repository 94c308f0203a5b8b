import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { GroupCommit } from "./group-commit.ts";
import type { MessageAttributes } from "./message-attributes.ts";

/** A queue as it is on disk. */
export type QueueRecord = {
  readonly queueId: number;
  readonly queueKey: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
};

/** The part of a message that changes while it is in a queue; this much of each message is also in memory. */
export type MessageRecord = {
  readonly row: number;
  readonly queueId: number;
  readonly groupId: string;
  readonly sentAtMs: number;
  readonly visibleAtMs: number;
  readonly receiveCount: number;
  /** What the count was when the message came to this queue: a dead-letter queue counts anew for its own limit. */
  readonly priorReceiveCount: number;
  readonly firstReceivedAtMs: number | undefined;
  readonly receivedAtMs: number | undefined;
};

/** The part of a message that stays, read from disk when it is delivered. */
export type MessageContent = {
  readonly messageId: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly systemAttributes: MessageAttributes;
  readonly deduplicationId: string | undefined;
  readonly sequenceNumber: string | undefined;
  /** The ARN of the queue that a dead-letter queue got the message from. */
  readonly deadLetterSourceArn: string | undefined;
};

/** What is remembered of a message sent to a FIFO queue, so that a repeated send gets the first one's answer. */
export type DeduplicationRecord = { readonly messageId: string; readonly sequenceNumber: string };

/** The key a repeated send is recognised by; `scope` is the group where deduplication is per group, else empty. */
export type DeduplicationKey = { readonly queueId: number; readonly scope: string; readonly deduplicationId: string };

const SCHEMA_VERSION = 1;
/** How long the start waits for a server that is just ending. */
const LOCK_WAIT_MS = 1_000;

// The small, changing part of a message has a table of its own: a renewed visibility does not rewrite the body, and the
// start reads no bodies.
const SCHEMA = `
CREATE TABLE queues (
  queue_id INTEGER PRIMARY KEY AUTOINCREMENT, queue_key TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
  attributes TEXT NOT NULL, tags TEXT NOT NULL, created_at_ms INTEGER NOT NULL, modified_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE messages (
  message_row INTEGER PRIMARY KEY, queue_id INTEGER NOT NULL, group_id TEXT NOT NULL,
  sent_at_ms INTEGER NOT NULL, visible_at_ms INTEGER NOT NULL,
  receive_count INTEGER NOT NULL, prior_receive_count INTEGER NOT NULL,
  first_received_at_ms INTEGER, received_at_ms INTEGER
) STRICT;
CREATE TABLE contents (
  message_row INTEGER PRIMARY KEY, message_id TEXT NOT NULL, body TEXT NOT NULL,
  attributes TEXT, system_attributes TEXT, deduplication_id TEXT, sequence_number TEXT, dead_letter_source_arn TEXT
) STRICT;
CREATE TABLE deduplications (
  queue_id INTEGER NOT NULL, scope TEXT NOT NULL, deduplication_id TEXT NOT NULL,
  message_id TEXT NOT NULL, sequence_number TEXT NOT NULL, expires_at_ms INTEGER NOT NULL,
  PRIMARY KEY (queue_id, scope, deduplication_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE move_tasks (
  task_id TEXT PRIMARY KEY, source_arn TEXT NOT NULL, started_at_ms INTEGER NOT NULL, task TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('last_message_row', 0);
`;

/** Opens the database for this process alone, and brings it into shape. */
function openDatabase(dataDir: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dataDir, { recursive: true });
    database = new DatabaseSync(join(dataDir, "sqs.sqlite"), { timeout: LOCK_WAIT_MS });
    prepareSchema(database);
    return database;
  } catch (cause) {
    database?.close();
    const reason = isLockError(cause)
      ? "it is in use by another server; stop that one first"
      : `${cause instanceof Error ? cause.message : String(cause)}`;
    throw new Error(`The queue data in ${dataDir} cannot be opened: ${reason}.`, { cause });
  }
}

function prepareSchema(database: DatabaseSync): void {
  // The lock is the process's own and ends with it, however it ends.
  database.exec(
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216",
  );
  const version = Number(database.prepare("PRAGMA user_version").get()?.user_version);
  if (version === SCHEMA_VERSION) return;
  if (version !== 0) {
    throw new Error(`it is of version ${version}, and this release reads version ${SCHEMA_VERSION} only`);
  }
  database.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
}

type Row = Record<string, unknown>;

/**
 * The queues on disk: one SQLite database in write-ahead mode. What was acknowledged survives `kill -9`, and a power cut
 * leaves the database whole (it may lose the last moments: commits are not flushed one by one).
 */
export class SqsStore {
  readonly #database: DatabaseSync;
  readonly #transaction: GroupCommit;
  readonly #statements = new Map<string, StatementSync>();
  #lastRow: number;
  #savedLastRow: number;

  /** Opens or creates the store; `onFailure` is told when writes were undone and memory has to be read anew. */
  constructor(dataDir: string, onFailure: (cause: unknown) => void) {
    this.#database = openDatabase(dataDir);
    this.#lastRow = this.#readLastRow();
    this.#savedLastRow = this.#lastRow;
    this.#transaction = new GroupCommit(
      this.#database,
      () => this.#saveLastRow(),
      (cause) => {
        this.#lastRow = this.#readLastRow();
        this.#savedLastRow = this.#lastRow;
        onFailure(cause);
      },
    );
  }

  /** Resolves when everything written so far is durable. */
  settled(): Promise<void> {
    return this.#transaction.settled();
  }

  close(): void {
    this.#transaction.flush();
    this.#database.close();
  }

  /** The row of the next message: higher than any before it, also after a restart. */
  nextRow(): number {
    this.#lastRow += 1;
    return this.#lastRow;
  }

  loadQueues(): QueueRecord[] {
    return this.#all("SELECT * FROM queues ORDER BY queue_id").map((row) => ({
      queueId: Number(row.queue_id),
      queueKey: String(row.queue_key),
      name: String(row.name),
      attributes: JSON.parse(String(row.attributes)),
      tags: JSON.parse(String(row.tags)),
      createdAtMs: Number(row.created_at_ms),
      modifiedAtMs: Number(row.modified_at_ms),
    }));
  }

  /** All messages in their order of arrival. */
  *loadMessages(): Generator<MessageRecord> {
    for (const row of this.#prepare("SELECT * FROM messages ORDER BY message_row").iterate()) {
      yield {
        row: Number(row.message_row),
        queueId: Number(row.queue_id),
        groupId: String(row.group_id),
        sentAtMs: Number(row.sent_at_ms),
        visibleAtMs: Number(row.visible_at_ms),
        receiveCount: Number(row.receive_count),
        priorReceiveCount: Number(row.prior_receive_count),
        firstReceivedAtMs: optionalNumber(row.first_received_at_ms),
        receivedAtMs: optionalNumber(row.received_at_ms),
      };
    }
  }

  insertQueue(queue: Omit<QueueRecord, "queueId">): number {
    const { queueKey, name, attributes, tags, createdAtMs, modifiedAtMs } = queue;
    const result = this.#run(
      "INSERT INTO queues (queue_key, name, attributes, tags, created_at_ms, modified_at_ms) VALUES (?, ?, ?, ?, ?, ?)",
      [queueKey, name, JSON.stringify(attributes), JSON.stringify(tags), createdAtMs, modifiedAtMs],
    );
    return Number(result.lastInsertRowid);
  }

  updateQueue(queue: Pick<QueueRecord, "queueId" | "attributes" | "tags" | "modifiedAtMs">): void {
    this.#run("UPDATE queues SET attributes = ?, tags = ?, modified_at_ms = ? WHERE queue_id = ?", [
      JSON.stringify(queue.attributes),
      JSON.stringify(queue.tags),
      queue.modifiedAtMs,
      queue.queueId,
    ]);
  }

  deleteQueue(queueId: number, arn: string): void {
    this.purgeQueue(queueId);
    this.#run("DELETE FROM move_tasks WHERE source_arn = ?", [arn]);
    this.#run("DELETE FROM queues WHERE queue_id = ?", [queueId]);
  }

  /** Removes a queue's messages and what it remembers for deduplication. */
  purgeQueue(queueId: number): void {
    this.#run("DELETE FROM contents WHERE message_row IN (SELECT message_row FROM messages WHERE queue_id = ?)", [
      queueId,
    ]);
    this.#run("DELETE FROM messages WHERE queue_id = ?", [queueId]);
    this.#run("DELETE FROM deduplications WHERE queue_id = ?", [queueId]);
  }

  insertMessage(message: MessageRecord, content: MessageContent): void {
    this.#run("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [
      message.row,
      message.queueId,
      message.groupId,
      message.sentAtMs,
      message.visibleAtMs,
      message.receiveCount,
      message.priorReceiveCount,
      message.firstReceivedAtMs ?? null,
      message.receivedAtMs ?? null,
    ]);
    this.#run("INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [
      message.row,
      content.messageId,
      content.body,
      toJson(content.attributes),
      toJson(content.systemAttributes),
      content.deduplicationId ?? null,
      content.sequenceNumber ?? null,
      content.deadLetterSourceArn ?? null,
    ]);
  }

  readContent(row: number): MessageContent {
    const content = this.#prepare("SELECT * FROM contents WHERE message_row = ?").get(row);
    if (content === undefined) throw new Error(`Message ${row} has no content on disk.`);
    return {
      messageId: String(content.message_id),
      body: String(content.body),
      attributes: fromJson(content.attributes),
      systemAttributes: fromJson(content.system_attributes),
      deduplicationId: optionalString(content.deduplication_id),
      sequenceNumber: optionalString(content.sequence_number),
      deadLetterSourceArn: optionalString(content.dead_letter_source_arn),
    };
  }

  /** Writes what a receive, a changed visibility or a delivery taken back changes. */
  updateMessage(message: Omit<MessageRecord, "queueId" | "groupId" | "sentAtMs" | "priorReceiveCount">): void {
    this.#run(
      "UPDATE messages SET visible_at_ms = ?, receive_count = ?, first_received_at_ms = ?, received_at_ms = ? WHERE message_row = ?",
      [
        message.visibleAtMs,
        message.receiveCount,
        message.firstReceivedAtMs ?? null,
        message.receivedAtMs ?? null,
        message.row,
      ],
    );
  }

  deleteMessage(row: number): void {
    this.#run("DELETE FROM messages WHERE message_row = ?", [row]);
    this.#run("DELETE FROM contents WHERE message_row = ?", [row]);
  }

  /** Finds the first send of a message that is still within the deduplication interval. */
  findDeduplication(key: DeduplicationKey, nowMs: number): DeduplicationRecord | undefined {
    const row = this.#prepare(
      "SELECT message_id, sequence_number FROM deduplications WHERE queue_id = ? AND scope = ? AND deduplication_id = ? AND expires_at_ms > ?",
    ).get(key.queueId, key.scope, key.deduplicationId, nowMs);
    if (row === undefined) return undefined;
    return { messageId: String(row.message_id), sequenceNumber: String(row.sequence_number) };
  }

  insertDeduplication(key: DeduplicationKey, record: DeduplicationRecord, expiresAtMs: number): void {
    this.#run("INSERT OR REPLACE INTO deduplications VALUES (?, ?, ?, ?, ?, ?)", [
      key.queueId,
      key.scope,
      key.deduplicationId,
      record.messageId,
      record.sequenceNumber,
      expiresAtMs,
    ]);
  }

  deleteExpiredDeduplications(nowMs: number): void {
    this.#run("DELETE FROM deduplications WHERE expires_at_ms <= ?", [nowMs]);
  }

  /** The tasks' own JSON, oldest first. */
  loadMoveTasks(): string[] {
    return this.#all("SELECT task FROM move_tasks ORDER BY started_at_ms").map((row) => String(row.task));
  }

  saveMoveTask(task: { readonly taskId: string; readonly sourceArn: string; readonly startedAtMs: number }): void {
    this.#run("INSERT OR REPLACE INTO move_tasks VALUES (?, ?, ?, ?)", [
      task.taskId,
      task.sourceArn,
      task.startedAtMs,
      JSON.stringify(task),
    ]);
  }

  deleteMoveTask(taskId: string): void {
    this.#run("DELETE FROM move_tasks WHERE task_id = ?", [taskId]);
  }

  #run(sql: string, values: (string | number | null)[]): { lastInsertRowid: number | bigint } {
    return this.#transaction.write(() => this.#prepare(sql).run(...values));
  }

  #all(sql: string): Row[] {
    return this.#prepare(sql).all();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #readLastRow(): number {
    return Number(this.#prepare("SELECT value FROM counters WHERE name = 'last_message_row'").get()?.value);
  }

  #saveLastRow(): void {
    if (this.#lastRow === this.#savedLastRow) return;
    this.#prepare("UPDATE counters SET value = ? WHERE name = 'last_message_row'").run(this.#lastRow);
    this.#savedLastRow = this.#lastRow;
  }
}

function isLockError(error: unknown): boolean {
  const SQLITE_BUSY = 5;
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

function toJson(attributes: MessageAttributes): string | null {
  return Object.keys(attributes).length === 0 ? null : JSON.stringify(attributes);
}

function fromJson(value: unknown): MessageAttributes {
  return typeof value === "string" ? JSON.parse(value) : {};
}

function optionalNumber(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function optionalString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
