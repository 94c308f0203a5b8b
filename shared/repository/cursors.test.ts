import { describe, expect, it } from "vitest";
import { AppError } from "../domain/errors.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";

const readName = ([name]: readonly unknown[]) => (typeof name === "string" ? { name } : undefined);

describe("a cursor", () => {
  it("leads its list back to its place", () => {
    expect(decodeCursor("jobs", encodeCursor("jobs", ["näme/+ %"]), readName)).toEqual({ name: "näme/+ %" });
  });

  it("is safe in a URL as it is", () => {
    const cursor = encodeCursor("jobs", ["?&=+/ü".repeat(20), 7]);
    expect(encodeURIComponent(cursor)).toBe(cursor);
  });

  it("may be absent", () => expect(decodeCursor("jobs", undefined, readName)).toBeUndefined());

  it.each([
    ["of another list", encodeCursor("tasks", ["a"])],
    ["with another kind of place", encodeCursor("jobs", [7])],
    ["without a place", encodeCursor("jobs", [])],
    ["of other JSON", Buffer.from('{"pk":"x"}').toString("base64url")],
    ["of no JSON", Buffer.from("[1,").toString("base64url")],
    ["of no base64", "%%%"],
    ["that is empty", ""],
  ])("%s is the caller's error", (_title, cursor) => {
    const decode = () => decodeCursor("jobs", cursor, readName);
    expect(decode).toThrow(AppError);
    expect(decode).toThrow(expect.objectContaining({ code: "invalid_cursor" }));
  });
});
