import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, it } from "vitest";
import { GroupCommit, StorageError } from "./group-commit.ts";

const open: DatabaseSync[] = [];
afterEach(() => {
  for (const database of open) database.close();
  open.length = 0;
});

function makeDatabase() {
  const database = new DatabaseSync(":memory:");
  open.push(database);
  database.exec("CREATE TABLE items (name TEXT NOT NULL UNIQUE)");
  const failures: unknown[] = [];
  const commits = { count: 0 };
  const transaction = new GroupCommit(
    database,
    () => {
      commits.count += 1;
    },
    (cause) => failures.push(cause),
  );
  const insert = (name: string | null) =>
    transaction.write(() => database.prepare("INSERT INTO items VALUES (?)").run(name));
  const names = () =>
    database
      .prepare("SELECT name FROM items")
      .all()
      .map((row) => row.name);
  return { database, transaction, insert, names, failures, commits };
}

describe("GroupCommit", () => {
  it("commits everything written in one turn at once, and tells all who wait", async () => {
    const { transaction, insert, names, commits } = makeDatabase();
    insert("a");
    const first = transaction.settled();
    insert("b");
    await Promise.all([first, transaction.settled()]);
    expect(names()).toEqual(["a", "b"]);
    expect(commits.count).toBe(1);
    await transaction.settled();
    insert("c");
    await transaction.settled();
    expect(commits.count).toBe(2);
  });

  it("undoes the whole turn when one write fails, and goes on with the next", async () => {
    const { database, transaction, insert, names, failures } = makeDatabase();
    insert("a");
    const settled = transaction.settled();
    expect(() => insert(null)).toThrow(StorageError);
    await expect(settled).rejects.toThrow(/NOT NULL/);
    expect(failures).toHaveLength(1);
    expect(database.isTransaction).toBe(false);
    insert("b");
    await transaction.settled();
    expect(names()).toEqual(["b"]);
  });

  it("rejects those who wait when the commit itself fails", async () => {
    const { database, transaction, insert, names, failures } = makeDatabase();
    database.exec("PRAGMA foreign_keys = ON; CREATE TABLE parents (name TEXT PRIMARY KEY)");
    database.exec("CREATE TABLE children (parent TEXT REFERENCES parents DEFERRABLE INITIALLY DEFERRED)");
    insert("a");
    transaction.write(() => database.exec("INSERT INTO children VALUES ('nobody')"));
    await expect(transaction.settled()).rejects.toThrow(/FOREIGN KEY/);
    expect(failures).toHaveLength(1);
    expect(names()).toEqual([]);
  });

  it("commits at once when it is told to", () => {
    const { transaction, insert, database, names } = makeDatabase();
    insert("a");
    transaction.flush();
    expect(database.isTransaction).toBe(false);
    expect(names()).toEqual(["a"]);
  });
});
