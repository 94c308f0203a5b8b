import { clipText, type Path } from "./problem.ts";
import type { JobIssue } from "./schema-issues.ts";

/** Deeper than any job; what refers to itself is deeper still. */
const maxDepth = 32;
const maxIssues = 100;

/** A value as JSON would carry it, with everything that JSON would drop or change without a word. */
export interface PlainValue {
  value: unknown;
  issues: JobIssue[];
}

/** Takes what code has made for plain data: keys whose value is `undefined` are absent, all else must be data. */
export function toPlainValue(made: unknown): PlainValue {
  const issues: JobIssue[] = [];

  function refuse(path: Path, what: string): undefined {
    if (issues.length >= maxIssues) return undefined;
    const message = `is ${what}; a job holds only text, numbers, true, false, lists and maps`;
    issues.push({ path, part: "value", message, code: "wrong_type" });
    return undefined;
  }

  function copy(value: unknown, path: Path): unknown {
    if (value === null || ["string", "boolean", "undefined"].includes(typeof value)) return value;
    if (typeof value === "number") return Number.isFinite(value) ? value : refuse(path, String(value));
    if (typeof value !== "object") return refuse(path, `a ${typeof value}`);
    if (path.length >= maxDepth) return refuse(path, "nested too deep, or a part of itself");
    if (Array.isArray(value)) return Array.from(value, (item: unknown, index) => copy(item, [...path, index]) ?? null);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && prototype !== Object.prototype) return refuse(path, describeInstance(value));
    const entries = Object.entries(value).map(([key, item]) => [key, copy(item, [...path, key])] as const);
    return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
  }

  return { value: copy(made, []), issues };
}

function describeInstance(value: object): string {
  if (value instanceof Promise) return "a Promise; await it";
  return `a ${clipText(value.constructor?.name || "special object")}`;
}
