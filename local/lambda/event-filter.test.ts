import { describe, expect, it } from "vitest";
import { streamConsumers } from "../../shared/infrastructure/table.ts";
import { type EventPattern, matchesAnyPattern } from "./event-filter.ts";

const matches = (pattern: EventPattern, record: unknown) => matchesAnyPattern([pattern], record);

describe("an event pattern", () => {
  it("matches a value that is among those of its leaf", () => {
    expect(matches({ a: ["x", "y"] }, { a: "y" })).toBe(true);
    expect(matches({ a: ["x", "y"] }, { a: "z" })).toBe(false);
    expect(matches({ a: [7] }, { a: 7 })).toBe(true);
    expect(matches({ a: [7] }, { a: "7" })).toBe(false);
    expect(matches({ a: [true] }, { a: true })).toBe(true);
  });

  it("asks for all of its fields, and for nothing else", () => {
    expect(matches({ a: ["x"], b: ["y"] }, { a: "x", b: "y", c: "z" })).toBe(true);
    expect(matches({ a: ["x"], b: ["y"] }, { a: "x" })).toBe(false);
    expect(matches({}, { a: "x" })).toBe(true);
  });

  it("looks into objects, also into those that are not there", () => {
    expect(matches({ a: { b: { c: ["x"] } } }, { a: { b: { c: "x" } } })).toBe(true);
    expect(matches({ a: { b: { c: ["x"] } } }, { a: {} })).toBe(false);
    expect(matches({ a: { b: { c: [{ exists: false }] } } }, {})).toBe(true);
    expect(matches({ a: { b: ["x"] } }, { a: null })).toBe(false);
    expect(matches({ a: { b: ["x"] } }, undefined)).toBe(false);
  });

  it("tests that a field exists or does not", () => {
    expect(matches({ a: [{ exists: true }] }, { a: "" })).toBe(true);
    expect(matches({ a: [{ exists: true }] }, { b: 1 })).toBe(false);
    expect(matches({ a: [{ exists: false }] }, { b: 1 })).toBe(true);
    expect(matches({ a: [{ exists: false }] }, { a: 1 })).toBe(false);
  });

  it("tests the beginning of a text", () => {
    expect(matches({ a: [{ prefix: "CHORE#" }] }, { a: "CHORE#expand" })).toBe(true);
    expect(matches({ a: [{ prefix: "CHORE#" }] }, { a: "DIGEST" })).toBe(false);
    expect(matches({ a: [{ prefix: "7" }] }, { a: 7 })).toBe(false);
  });

  it("is one of several, any of which will do; none matches nothing", () => {
    expect(matchesAnyPattern([{ a: ["x"] }, { b: ["y"] }], { b: "y" })).toBe(true);
    expect(matchesAnyPattern([], { b: "y" })).toBe(false);
  });
});

describe("the consumers of the table's stream", () => {
  const fold = (record: unknown) => matchesAnyPattern(streamConsumers.fold, record);
  const chores = (record: unknown) => matchesAnyPattern(streamConsumers.chores, record);
  const key = (sk: string) => ({ pk: { S: "JOB#x" }, sk: { S: sk } });

  it("fold what has moves that are not counted, whatever brought it", () => {
    expect(fold({ eventName: "MODIFY", dynamodb: { NewImage: { unfolded: { N: "1" } } } })).toBe(true);
    expect(fold({ eventName: "INSERT", dynamodb: { NewImage: { unfolded: { N: "2" } } } })).toBe(true);
    expect(fold({ eventName: "MODIFY", dynamodb: { NewImage: { rev: { N: "1" } } } })).toBe(false);
    expect(fold({ eventName: "REMOVE", dynamodb: { OldImage: { unfolded: { N: "1" } } } })).toBe(false);
  });

  it("take up chores that were put or moved, not those that are done or rest", () => {
    const chore = (kind: string, NewImage?: object) => ({ Keys: key(`CHORE#${kind}`), NewImage });
    const due = { duePk: { S: "DUE#1" } };
    expect(chores({ eventName: "INSERT", dynamodb: chore("expand", due) })).toBe(true);
    expect(chores({ eventName: "MODIFY", dynamodb: chore("cancel", due) })).toBe(true);
    expect(chores({ eventName: "MODIFY", dynamodb: chore("advance", { nonce: { S: "n" } }) })).toBe(false);
    expect(chores({ eventName: "REMOVE", dynamodb: chore("cancel") })).toBe(false);
    expect(chores({ eventName: "MODIFY", dynamodb: { Keys: key("DIGEST"), NewImage: due } })).toBe(false);
  });
});
