import type { z } from "zod";
import type { Problem } from "../../shared/api/schemas.ts";
import { clipText } from "../../shared/jobfile/problem.ts";
import { valueAt } from "../../shared/jobfile/schema-issues.ts";

type ZodIssue = z.core.$ZodIssue;
type Path = readonly (string | number)[];
type RequestProblem = NonNullable<Problem["problems"]>[number];

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
  null: "null",
};

/** Every mistake that a schema found in what was sent, each with its path (`spec.steps[0].image`) and a plain sentence. */
export function describeRequestProblems(issues: readonly ZodIssue[], sent: unknown): RequestProblem[] {
  return issues.flatMap((issue) => describeIssue(issue, sent, []));
}

function describeIssue(issue: ZodIssue, sent: unknown, prefix: Path): RequestProblem[] {
  const path = [...prefix, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  const value = valueAt(sent, path);
  const at = (message: string): RequestProblem[] => [{ path: formatPath(path), message }];
  switch (issue.code) {
    case "custom":
      return at(issue.message);
    case "invalid_type":
      return at(describeType(issue.expected, value));
    case "too_small":
    case "too_big":
      return at(describeRange(issue, value));
    case "invalid_format":
      return at(describeFormat(issue, value));
    case "invalid_value":
      return at(describeChoice(issue.values, value));
    case "unrecognized_keys":
      return at(`has keys that are not known: ${issue.keys.map((key) => clipText(key)).join(", ")}`);
    case "invalid_key":
      return issue.issues.flatMap((inner) => at(`its name is wrong: ${describeName(inner, path.at(-1))}`));
    case "invalid_union":
      return describeUnion(issue, sent, path);
    default:
      return at("is not valid");
  }
}

function describeType(expected: string, value: unknown): string {
  if (value === undefined) return "is missing";
  return `must be ${typeNames[expected] ?? expected}, not ${nameValue(value)}`;
}

function describeRange(issue: Extract<ZodIssue, { code: "too_small" | "too_big" }>, value: unknown): string {
  const isSmall = issue.code === "too_small";
  const limit = isSmall ? issue.minimum : issue.maximum;
  const bound = isSmall ? `at least ${limit}` : `at most ${limit}`;
  if (typeof value === "string" && issue.origin === "string") {
    return value === "" ? "must not be empty" : `has ${value.length} characters; ${bound} are allowed`;
  }
  if (Array.isArray(value))
    return value.length === 0 ? "must not be empty" : `has ${value.length} items; ${bound} are allowed`;
  return `must be ${bound}, not ${nameValue(value)}`;
}

function describeFormat(issue: Extract<ZodIssue, { code: "invalid_format" }>, value: unknown): string {
  const rule = "pattern" in issue && issue.pattern !== undefined ? `; it must match ${String(issue.pattern)}` : "";
  return `must not be ${nameValue(value)}${rule}`;
}

function describeName(issue: ZodIssue, name: unknown): string {
  if (issue.code === "too_big" || issue.code === "too_small") return describeRange(issue, name);
  return issue.code === "invalid_format" ? describeFormat(issue, name) : "it cannot be used";
}

function describeChoice(choices: readonly unknown[], value: unknown): string {
  const allowed = choices.length === 1 ? `must be ${choices[0]}` : `must be one of ${choices.join(", ")}`;
  return value === undefined ? `is missing; it ${allowed}` : `${allowed}, not ${nameValue(value)}`;
}

/** Of a union only the form that was meant is worth telling: the one of the value's type that fits best. */
function describeUnion(
  issue: Extract<ZodIssue, { code: "invalid_union" }>,
  sent: unknown,
  path: Path,
): RequestProblem[] {
  const options = "options" in issue && Array.isArray(issue.options) ? issue.options : undefined;
  if (options) return [{ path: formatPath(path), message: describeChoice(options, valueAt(sent, path)) }];
  const meant = issue.errors
    .filter((errors) => !errors.some((error) => error.code === "invalid_type" && error.path.length === 0))
    .sort((a, b) => a.length - b.length);
  if (meant[0] && (meant.length === 1 || meant[0].length < (meant[1]?.length ?? 0))) {
    return meant[0].flatMap((error) => describeIssue(error, sent, path));
  }
  const forms = issue.errors.flatMap((errors) => errors.flatMap(nameForm));
  const hint = forms.length > 0 ? `; it must be ${[...new Set(forms)].join(" or ")}` : "";
  const value = valueAt(sent, path);
  return [
    {
      path: formatPath(path),
      message: value === undefined ? `is missing${hint}` : `has none of the forms allowed${hint}`,
    },
  ];
}

function nameForm(issue: ZodIssue): string[] {
  if (issue.code !== "invalid_type") return [];
  const type = typeNames[issue.expected] ?? issue.expected;
  return [issue.path.length === 0 ? type : `an object with ${issue.path.join(".")}`];
}

function nameValue(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `"${clipText(value)}"` : String(value);
}

function formatPath(path: Path): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .replace(/^\./, "");
}
