import { buildJobJsonSchema } from "../../shared/jobfile/json-schema.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";

/** `sluice schema`: the JSON Schema of the job file, for editors. */
export function schema(context: Context): number {
  context.out.write(`${JSON.stringify(buildJobJsonSchema(), null, context.json ? undefined : 2)}\n`);
  return exitCodes.completed;
}
