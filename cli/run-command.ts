import { type Context, createContext, type GlobalOptions } from "./context.ts";
import { explainError } from "./errors.ts";
import type { Runtime } from "./runtime.ts";
import { printError } from "./terminal/print-error.ts";

/** Runs one command with its context; whatever it throws becomes a message and an exit code. */
export async function runCommand(
  runtime: Runtime,
  options: GlobalOptions,
  work: (context: Context) => Promise<number> | number,
): Promise<number> {
  const context = createContext(runtime, options);
  try {
    return await work(context);
  } catch (error) {
    const explanation = explainError(error);
    printError(context.err, explanation);
    if (context.verbose && error instanceof Error) context.err.write(`${formatStack(error)}\n`);
    return explanation.exitCode;
  }
}

/** The stack of an error and of what caused it. */
function formatStack(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${formatStack(error.cause)}` : "";
  return `${error.stack ?? error.message}${cause}`;
}
