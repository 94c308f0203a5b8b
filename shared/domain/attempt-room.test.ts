import { describe, expect, it } from "vitest";
import { findCrowdedOut } from "./attempt-room.ts";

const attempt = (kilobytes: number) => ({ steps: [{ index: 1, name: "x".repeat(kilobytes * 1024) }], logs: [] });

describe("details of attempts", () => {
  it("all have room as long as they are small", () => {
    expect(findCrowdedOut([])).toEqual([]);
    expect(findCrowdedOut(Array.from({ length: 50 }, () => attempt(1)))).toEqual([]);
  });

  it("are left out of the oldest where there is too much", () => {
    expect(findCrowdedOut([attempt(30), attempt(30), attempt(30)])).toEqual([0]);
    expect(findCrowdedOut([attempt(1), attempt(50), attempt(50), {}, attempt(20)])).toEqual([0, 1]);
  });

  it("are not left out twice", () => {
    expect(findCrowdedOut([{ steps: [], logs: [] }, {}, attempt(70)])).toEqual([]);
  });
});
