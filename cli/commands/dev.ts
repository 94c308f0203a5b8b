import { resolve } from "node:path";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";

/** Options of `sluice dev`. */
export interface DevOptions {
  port: number;
  dataDir: string;
  workers: number;
  slots?: number;
  reset?: boolean;
}

/** `sluice dev`: the local stack, until Ctrl-C. */
export async function dev(context: Context, options: DevOptions): Promise<number> {
  if (options.dataDir === "") {
    throw new CliError(exitCodes.usage, "--data-dir is empty; name a folder, or leave it out for .sluice");
  }
  const { runLocalStack } = await import("../../local/main.ts");
  return runLocalStack({
    port: options.port,
    dataDir: resolve(context.runtime.cwd, options.dataDir),
    workers: options.workers,
    ...(options.slots !== undefined && { slots: options.slots }),
    reset: options.reset === true,
    json: context.json,
    verbose: context.verbose,
  });
}
