import { describe, expect, it } from "vitest";
import { suggestNearest } from "./suggest.ts";

const keys = ["image", "run", "command", "name", "env", "timeout", "workdir"];

describe("suggestNearest", () => {
  it.each([
    ["imgae", "image"],
    ["Image", "image"],
    ["comand", "command"],
    ["time_out", "timeout"],
    ["rnu", "run"],
    ["work-dir", "workdir"],
  ])("takes %s for %s", (text, key) => {
    expect(suggestNearest(text, keys)).toBe(key);
  });

  it.each(["x", "script", "parallelism", "", "eee"])("suggests nothing for '%s'", (text) => {
    expect(suggestNearest(text, keys)).toBeUndefined();
  });

  it("prefers the nearer of two", () => {
    expect(suggestNearest("on-failures", ["on-error", "on-failure"])).toBe("on-failure");
  });
});
