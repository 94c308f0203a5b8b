import { z } from "zod";
import { parseJson } from "../../shared/parse-json.ts";
import { type FaultRules, faultKinds } from "./faults.ts";

const ruleSchema = z.strictObject({
  operation: z.string().min(1),
  kind: z.enum(faultKinds),
  probability: z.number().min(0).max(1).optional(),
  nth: z.int().min(1).optional(),
  everyNth: z.int().min(1).optional(),
  delayMs: z.int().min(0).optional(),
  limit: z.int().min(1).optional(),
});

const rulesSchema = z.array(ruleSchema).default([]);
const faultsSchema = z.strictObject({ dynamodb: rulesSchema, sqs: rulesSchema, s3: rulesSchema });

/** The faults to inject into each service of the embedded cloud. */
export type ServiceFaults = Record<"dynamodb" | "sqs" | "s3", FaultRules>;

export type ParsedFaults = { ok: true; faults: ServiceFaults } | { ok: false; problem: string };

/** Reads `SLUICE_FAULTS`: JSON with a list of fault rules by service; nothing at all means no faults. */
export function parseFaults(text: string | undefined): ParsedFaults {
  if (text === undefined || text === "") return { ok: true, faults: { dynamodb: [], sqs: [], s3: [] } };
  const parsed = faultsSchema.safeParse(parseJson(text));
  // Absent options and options that are undefined mean the same to the rules.
  if (parsed.success) return { ok: true, faults: parsed.data as ServiceFaults };
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`);
  return { ok: false, problem: `SLUICE_FAULTS holds no fault rules: ${problems.join("; ")}` };
}
