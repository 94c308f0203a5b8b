import { type ApiClient, createApiClient } from "../shared/api-client/index.ts";
import { version } from "../shared/version.ts";
import { Interrupted } from "./errors.ts";
import type { Runtime } from "./runtime.ts";
import { resolveTarget, type Target } from "./target.ts";
import type { Output } from "./terminal/output.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  url?: string;
  token?: string;
  json?: boolean;
  /** Commander's name for the absence of `--no-color`. */
  color?: boolean;
  quiet?: boolean;
  verbose?: boolean;
}

/** What a command works with. */
export interface Context {
  readonly out: Output;
  readonly err: Output;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly runtime: Runtime;
  /** The API client; the first use decides where the control plane is, and whether calls that are repeated are told with `-v`. */
  api(options?: { tellsRetries: boolean }): ApiClient;
  /** Where the control plane is, and as whom to ask it. */
  target(): Target;
  /** A further command for the user to type, with what it needs to reach the same control plane. */
  hint(command: string): string;
  /** A word to the user beside the output: on stderr, and not with `-q`. */
  note(text: string): void;
  /** Writes one JSON document to stdout. */
  writeJson(value: unknown): void;
}

/** Builds the context of one command. */
export function createContext(runtime: Runtime, options: GlobalOptions): Context {
  const { out, err } = runtime.openOutputs(options.color !== false);
  const verbose = options.verbose === true;
  const quiet = options.quiet === true;
  let target: Target | undefined;
  const getTarget = (): Target => {
    const { env, cwd } = runtime;
    target ??= resolveTarget({ urlFlag: options.url, tokenFlag: options.token, env, cwd });
    return target;
  };
  let client: ApiClient | undefined;
  return {
    out,
    err,
    json: options.json === true,
    quiet,
    verbose,
    runtime,
    api: ({ tellsRetries } = { tellsRetries: verbose }) => {
      client ??= createApiClient({
        ...getTarget(),
        userAgent: `sluice/${version}`,
        onRetry: (error, delayMs) => {
          if (tellsRetries) err.write(`${error.message}; trying again in ${delayMs} ms\n`);
        },
      });
      return client;
    },
    target: getTarget,
    hint: (command) => `sluice ${command}${getTarget().byFlag ? ` --url ${getTarget().url}` : ""}`,
    note: (text) => {
      if (!quiet) err.write(`${text}\n`);
    },
    writeJson: (value) => out.write(`${JSON.stringify(value)}\n`),
  };
}

/**
 * Runs work that a Ctrl-C ends through its signal. The second Ctrl-C ends the process as usual, should the first not
 * be enough.
 */
export async function withInterrupt<T>(runtime: Runtime, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stopListening = runtime.onInterrupt(() => {
    stopListening();
    controller.abort(new Interrupted());
  });
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
