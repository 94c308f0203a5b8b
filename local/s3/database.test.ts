import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Database } from "./database.ts";

let dir: string;
let database: Database;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-database-"));
  database = new Database(join(dir, "index.sqlite"));
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

const insert = (name: string) => database.sql.prepare("INSERT INTO counters VALUES (?, 1)").run(name);
const readNames = () =>
  database.sql
    .prepare("SELECT name FROM counters ORDER BY name")
    .all()
    .map(({ name }) => name);

describe("Database.write", () => {
  test("acknowledges after the commit and gives the change's result", async () => {
    expect(await database.write(() => insert("a").changes)).toBe(1);
    expect(database.sql.isTransaction).toBe(false);
    expect(readNames()).toEqual(["a"]);
  });

  test("undoes a change that throws, and it alone", async () => {
    const changes = [
      database.write(() => insert("a")),
      database.write(() => {
        insert("b");
        throw new Error("no");
      }),
      database.write(() => insert("c")),
    ];
    const outcomes = await Promise.allSettled(changes);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(readNames()).toEqual(["a", "c"]);
  });

  test("shows each change what those before it in the turn did", async () => {
    const seen = await Promise.all(
      ["a", "b", "c"].map((name) => database.write(() => [readNames().length, insert(name)][0])),
    );
    expect(seen).toEqual([0, 1, 2]);
  });

  test("refuses a change after the end", async () => {
    database.close();
    await expect(database.write(() => insert("a"))).rejects.toThrow("closed");
  });

  test("fails all of a turn when it cannot commit, and goes on with the next", async () => {
    const deferred = "CREATE TABLE child (name TEXT REFERENCES counters (name) DEFERRABLE INITIALLY DEFERRED)";
    database.sql.exec(`PRAGMA foreign_keys = ON; ${deferred}`);
    const outcomes = await Promise.allSettled([
      database.write(() => insert("a")),
      database.write(() => database.sql.exec("INSERT INTO child VALUES ('nobody')")),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await database.write(() => insert("b"));
    expect(readNames()).toEqual(["b"]);
  });
});

describe("Database.reclaimSpace", () => {
  test("gives the space of what was removed back, but for some", async () => {
    database.sql.exec("CREATE TABLE bodies (body BLOB)");
    const insertBody = database.sql.prepare("INSERT INTO bodies VALUES (zeroblob(1000000))");
    await database.write(() => {
      for (let index = 0; index < 30; index += 1) insertBody.run();
    });
    const countPages = () => Number(database.sql.prepare("PRAGMA page_count").get()?.page_count);
    const fullPages = countPages();
    await database.write(() => database.sql.exec("DELETE FROM bodies"));
    expect(countPages()).toBe(fullPages);
    let steps = 0;
    while (database.reclaimSpace()) steps += 1;
    expect(steps).toBeGreaterThan(1);
    expect(countPages()).toBeLessThan(fullPages - 2_000);
    expect(countPages()).toBeGreaterThan(5_000);
  });
});

describe("Database.incrementCounter", () => {
  test("counts on after the file was opened again", () => {
    expect([database.incrementCounter("run"), database.incrementCounter("run")]).toEqual([1, 2]);
    database.close();
    database = new Database(join(dir, "index.sqlite"));
    expect(database.incrementCounter("run")).toBe(3);
  });
});
