import { version } from "../../shared/version.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";

/** `sluice version`. */
export function showVersion(context: Context): number {
  if (context.json) context.writeJson({ version, node: process.version });
  else context.out.write(`sluice ${version}\n`);
  return exitCodes.completed;
}
