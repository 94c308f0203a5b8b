import { describe, expect, it } from "vitest";
import { buildJobJsonSchema } from "./json-schema.ts";
import { valueAt } from "./schema-issues.ts";

describe("buildJobJsonSchema", () => {
  const schema = buildJobJsonSchema();

  it("describes what this version can run, and nothing else", () => {
    expect(Object.keys(valueAt(schema, ["properties"]) ?? {})).toEqual([
      "version",
      "name",
      "pool",
      "env",
      "secrets",
      "registry_auth",
      "timeout",
      "retry",
      "abort",
      "services",
      "steps",
      "tasks",
      "resources",
      "artifacts",
    ]);
    expect(schema).toMatchObject({ required: ["name", "steps", "tasks"], additionalProperties: false });
  });

  it("accepts a task as a name or as a map", () => {
    expect(valueAt(schema, ["properties", "tasks", "items", "anyOf"])).toMatchObject([
      { type: "string" },
      { type: "object", required: ["name"], additionalProperties: false },
    ]);
  });

  it("lets plain numbers stand where the parser takes their text", () => {
    expect(valueAt(schema, ["properties", "version", "enum"])).toEqual(["1", 1]);
    const envValue = ["properties", "steps", "items", "properties", "env", "additionalProperties", "type"];
    expect(valueAt(schema, envValue)).toEqual(["string", "number", "boolean"]);
  });

  it("lets nothing stand after the keys of parts that may be empty", () => {
    for (const path of [["env"], ["services", "additionalProperties", "properties", "health"]]) {
      expect(valueAt(schema, ["properties", ...path, "type"])).toEqual(["object", "null"]);
    }
    expect(valueAt(schema, ["properties", "tasks", "items", "anyOf", 1, "properties", "needs", "type"])).toEqual([
      "array",
      "null",
    ]);
    expect(valueAt(schema, ["properties", "tasks", "type"])).toBe("array");
  });

  it("has only patterns that every editor can compile", () => {
    const patterns = [...JSON.stringify(schema).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map(
      (match) => match[1] ?? "",
    );
    expect(patterns.length).toBeGreaterThan(5);
    for (const pattern of patterns) expect(() => new RegExp(JSON.parse(pattern), "u")).not.toThrow();
  });
});
