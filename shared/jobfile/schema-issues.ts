import type { z } from "zod";
import { clipText, formatPath, type Path, type ProblemCode } from "./problem.ts";
import { suggestNearest } from "./suggest.ts";

/** One thing wrong with a job as data: where it is by path, and what part of it to point at. */
export interface JobIssue {
  path: Path;
  part: "key" | "value";
  message: string;
  code: ProblemCode;
  /** The key that a misspelt one stands for. */
  meantKey?: string;
  /** The other place of a problem with two. */
  related?: { path: Path; message: string };
}

type ZodIssue = z.core.$ZodIssue;

/** What to write where a required key is absent. */
const missingHints: Readonly<Record<string, string>> = {
  name: "give it one, such as name: integration",
  steps: "say what the tasks do, such as steps: [{ image: busybox:stable, run: echo hello }]",
  tasks: "name at least one, such as tasks: [unit]",
  "tasks[]": "every task needs a name, such as { name: unit }",
};

const typeNames: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys and values",
  record: "a map of keys and values",
};

/** Turns what the schema found into issues in a user's words; `value` is what was checked. */
export function describeSchemaIssues(issues: readonly ZodIssue[], schema: z.ZodType, value: unknown): JobIssue[] {
  const described = issues.flatMap((issue) => describeIssue(issue, schema, value, []));
  // A misspelt key is one problem, not a second one for the key that is missing because of it.
  const meant = new Set(described.map(({ path, meantKey }) => formatPath([...path.slice(0, -1), meantKey ?? ""])));
  return described.filter((issue) => issue.code !== "missing_key" || !meant.has(formatPath(issue.path)));
}

function describeIssue(issue: ZodIssue, schema: z.ZodType, root: unknown, prefix: Path): JobIssue[] {
  const path: Path = [...prefix, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  const value = valueAt(root, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => describeUnknownKey(key, path, listKnownKeys(schema, path)));
    case "invalid_union":
      return describeUnion(issue, schema, root, path);
    case "invalid_key":
      return issue.issues.map((inner) => ({ path, part: "key", message: inner.message, code: "invalid_value" }));
    case "invalid_type":
      return [describeWrongType(issue.expected, value, path)];
    case "too_small":
    case "too_big":
      return [describeRange(issue, value, path)];
    case "invalid_value":
      return [describeChoice(issue.values.map(String), value, path)];
    default:
      return [{ path, part: "value", message: issue.message, code: "invalid_value" }];
  }
}

function describeUnknownKey(key: string, path: Path, knownKeys: readonly string[]): JobIssue {
  const place = path.length === 0 ? "" : ` in ${formatPath(path)}`;
  const nearest = suggestNearest(key, knownKeys);
  const help = nearest === undefined ? `known keys are ${knownKeys.join(", ")}` : `did you mean '${nearest}'?`;
  const message = `unknown key '${clipText(key)}'${place}; ${help}`;
  const issue = { path: [...path, key], part: "key", message, code: "unknown_key" } as const;
  return nearest === undefined ? issue : { ...issue, meantKey: nearest };
}

/** Of a union only the branch that the value was meant for is worth telling: the one whose type it has. */
function describeUnion(
  issue: Extract<ZodIssue, { code: "invalid_union" }>,
  schema: z.ZodType,
  root: unknown,
  path: Path,
): JobIssue[] {
  const meant = issue.errors.find(
    (errors) => !errors.some((error) => error.code === "invalid_type" && error.path.length === 0),
  );
  if (meant) return meant.flatMap((error) => describeIssue(error, schema, root, path));
  const expected = issue.errors.flatMap((errors) =>
    errors.map((error) => (error.code === "invalid_type" ? nameType(error.expected) : "")),
  );
  const message = `must be ${expected.filter(Boolean).join(" or ")}, not ${nameValue(valueAt(root, path))}`;
  return [{ path, part: "value", message, code: "wrong_type" }];
}

function describeWrongType(expected: string, value: unknown, path: Path): JobIssue {
  if (value === undefined) {
    const pattern = formatPattern(path);
    const hint = missingHints[pattern] ?? missingHints[pattern.replace(/\.name$/, "")];
    const message = `${path.at(-1)} is missing${hint === undefined ? "" : `; ${hint}`}`;
    return { path, part: "value", message, code: "missing_key" };
  }
  if (value === null) {
    const help =
      path.at(-2) === "env" ? 'write "" for an empty one' : `write ${nameType(expected)} after it, or remove it`;
    const message = `has no value; ${help}`;
    return { path, part: "value", message, code: "wrong_type" };
  }
  const help = typeof value === "string" && /^\d+$/.test(value) ? " (remove the quotes)" : "";
  const subject = path.length === 0 ? "a job file " : "";
  const message = `${subject}must be ${nameType(expected)}, not ${nameValue(value)}${help}`;
  return { path, part: "value", message, code: "wrong_type" };
}

/** A path with `[]` for every index: `tasks[].needs`. */
function formatPattern(path: Path): string {
  return formatPath(path.map((part) => (typeof part === "number" ? 0 : part))).replaceAll("[0]", "[]");
}

function describeRange(
  issue: Extract<ZodIssue, { code: "too_small" | "too_big" }>,
  value: unknown,
  path: Path,
): JobIssue {
  const isSmall = issue.code === "too_small";
  const issued = { path, part: "value", code: "out_of_range" } as const;
  if (issue.origin === "string") return { ...issued, message: issue.message };
  const limit = isSmall ? issue.minimum : issue.maximum;
  const bound = issue.inclusive === false ? (isSmall ? "more than" : "less than") : isSmall ? "at least" : "at most";
  if (issue.origin !== "array") return { ...issued, message: `must be ${bound} ${limit}` };
  const count = Array.isArray(value) ? value.length : 0;
  if (!isSmall) return { ...issued, message: `has ${count} items; at most ${limit} are allowed` };
  const hint = missingHints[formatPath(path)];
  return { ...issued, message: `is an empty list${hint === undefined ? "; write at least one item" : `; ${hint}`}` };
}

function describeChoice(choices: readonly string[], value: unknown, path: Path): JobIssue {
  if (typeof value !== "string") return describeWrongType("string", value, path);
  const nearest = choices.length === 1 ? undefined : suggestNearest(value, choices);
  const meant = nearest === undefined ? "" : `; did you mean '${nearest}'?`;
  const allowed = choices.length === 1 ? `must be "${choices[0]}"` : `must be one of ${choices.join(", ")}`;
  return { path, part: "value", message: `${allowed}, not '${clipText(value)}'${meant}`, code: "invalid_value" };
}

function nameType(expected: string): string {
  return typeNames[expected] ?? expected;
}

function nameValue(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  return typeof value === "string" ? `the text '${clipText(value)}'` : String(value);
}

/** The value at a path of plain data, or undefined. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

/** Keys that may be used at a path, read from the schema itself. */
function listKnownKeys(schema: z.ZodType, path: Path): string[] {
  let current: unknown = schema;
  for (const part of path) current = childSchema(unwrapSchema(current), part);
  const { shape } = schemaParts(unwrapSchema(current));
  return Object.keys(shape ?? {});
}

interface SchemaParts {
  shape?: Record<string, unknown>;
  element?: unknown;
  valueType?: unknown;
  innerType?: unknown;
  options?: unknown[];
}

function schemaParts(schema: unknown): SchemaParts {
  return typeof schema === "object" && schema !== null && "def" in schema ? (schema.def as SchemaParts) : {};
}

/** What a schema is under `optional` and `default`; of a union, the option that is a map. */
function unwrapSchema(schema: unknown): unknown {
  const { innerType, options } = schemaParts(schema);
  if (innerType !== undefined) return unwrapSchema(innerType);
  if (options !== undefined) return options.map(unwrapSchema).find((option) => schemaParts(option).shape !== undefined);
  return schema;
}

function childSchema(schema: unknown, part: string | number): unknown {
  const { shape, element, valueType } = schemaParts(schema);
  return shape?.[part] ?? element ?? valueType;
}
