import { isDeepStrictEqual } from "node:util";
import type { Plan, PlannedResource } from "./plan-file.ts";

/** One place where a plan breaks a rule. */
export interface Violation {
  rule: string;
  resource: string;
  detail: string;
}

/** What a rule has found so far. */
export type Check = Omit<Violation, "rule">[];

/** Something that every plan must hold. */
export interface Rule {
  name: string;
  check(plan: Plan, found: Check): void;
}

/** The planned resources of one type. */
export function only(plan: Plan, type: string): PlannedResource[] {
  return plan.resources.filter((resource) => resource.type === type);
}

/** Notes a violation where something does not hold. */
export function expect(found: Check, resource: PlannedResource, holds: boolean, detail: string): void {
  if (!holds) found.push({ resource: String(resource.inputs.name ?? resource.name), detail });
}

/** Says field by field where two values differ. */
export function differences(actual: unknown, wanted: unknown, path = ""): string[] {
  if (isDeepStrictEqual(actual, wanted)) return [];
  if (!isContainer(actual) || !isContainer(wanted) || Array.isArray(actual) !== Array.isArray(wanted)) {
    return [`${path || "value"} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`];
  }
  const keys = new Set([...Object.keys(actual), ...Object.keys(wanted)]);
  return [...keys].flatMap((key) => differences(actual[key], wanted[key], path ? `${path}.${key}` : key));
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
