import { z } from "zod";
import type { Plan, PlannedResource } from "./plan-file.ts";

const list = z.union([z.string().transform((one) => [one]), z.array(z.string())]);

const statementSchema = z.object({
  Effect: z.enum(["Allow", "Deny"]),
  Action: list.default([]),
  Resource: list.default([]),
  Principal: z.unknown().optional(),
  Condition: z.unknown().optional(),
});
const policySchema = z.object({ Statement: z.array(statementSchema) });

/** One statement of a policy, its single values as lists. */
export type Statement = z.infer<typeof statementSchema>;

/** Reads a policy as a resource carries it: JSON text, or the document itself. */
export function parsePolicy(policy: unknown): Statement[] {
  return policySchema.parse(typeof policy === "string" ? JSON.parse(policy) : policy).Statement;
}

/** What a role may do, by its own policies. */
export function statementsOf(role: PlannedResource): Statement[] {
  const inline = (role.inputs.inlinePolicies ?? []) as { policy: unknown }[];
  return inline.flatMap(({ policy }) => parsePolicy(policy));
}

/** The role of a planned function. */
export function roleOf(plan: Plan, lambda: PlannedResource): PlannedResource | undefined {
  return plan.resources.find(({ type, outputs }) => type === "aws:iam/role:Role" && outputs.arn === lambda.inputs.role);
}
