import { buildJobTypes } from "../../shared/jobfile/job-types.ts";
import { buildJobJsonSchema } from "../../shared/jobfile/json-schema.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";

/** `sluice schema`: the JSON Schema of the job file, or with `--types` a declaration file, for editors. */
export function schema(context: Context, { types = false }: { types?: boolean }): number {
  const { out, json } = context;
  if (!types) out.write(`${JSON.stringify(buildJobJsonSchema(), null, json ? undefined : 2)}\n`);
  else out.write(json ? `${JSON.stringify({ types: buildJobTypes() })}\n` : buildJobTypes());
  return exitCodes.completed;
}
