import { describe, expect, it } from "vitest";
import { createByteMemory } from "./byte-memory.ts";

describe("a memory of so many bytes", () => {
  it("forgets what was not used for longest when it is full", () => {
    const memory = createByteMemory<string>(10);
    memory.add("a", "A", 4);
    memory.add("b", "B", 4);
    expect(memory.get("a")).toBe("A");
    memory.add("c", "C", 4);
    expect(["a", "b", "c"].map(memory.get)).toEqual(["A", undefined, "C"]);
  });

  it("keeps the newest however large it is, and counts what is replaced once", () => {
    const memory = createByteMemory<string>(10);
    memory.add("a", "A", 50);
    expect(memory.get("a")).toBe("A");
    memory.add("a", "B", 5);
    memory.add("b", "B", 5);
    expect(["a", "b"].map(memory.get)).toEqual(["B", "B"]);
  });
});
