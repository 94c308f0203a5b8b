import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { readVersion } from "../version.ts";

/** `sluice version`. */
export function version(context: Context): number {
  const number = readVersion();
  if (context.json) context.writeJson({ version: number, node: process.version });
  else context.out.write(`sluice ${number}\n`);
  return exitCodes.completed;
}
