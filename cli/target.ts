import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CliError, exitCodes, isLoopback } from "./errors.ts";
import { oneLine } from "./terminal/one-line.ts";

/** Which control plane a command speaks to, and as whom. */
export interface Target {
  url: string;
  token: string | undefined;
  /** True where `--url` named it: hints for further commands must name it too. */
  byFlag: boolean;
}

/** What the user said about it. */
export interface TargetInput {
  urlFlag: string | undefined;
  tokenFlag: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}

/** Where the local stack is when nobody says otherwise. */
export const defaultUrl = "http://127.0.0.1:4400";

/**
 * Decides where the control plane is: the flag, SLUICE_URL, the local stack found upwards from the current folder, the
 * local stack's usual address. The local stack's token is used for the local stack's own URL only.
 */
export function resolveTarget({ urlFlag, tokenFlag, env, cwd }: TargetInput): Target {
  const named = urlFlag ?? nonEmpty(env.SLUICE_URL);
  const { stack, stopped } = findStack(cwd);
  if (named === undefined && !stack && stopped !== undefined) {
    const message = `the local stack of ${oneLine(stopped)} is not running; start it with \`sluice dev\``;
    throw new CliError(exitCodes.unreachable, message);
  }
  const url = normalizeUrl(named ?? stack?.url ?? defaultUrl, urlFlag === undefined ? "SLUICE_URL" : "--url");
  const stackToken = stack && new URL(stack.url).origin === new URL(url).origin ? stack.token : undefined;
  const token = tokenFlag ?? nonEmpty(env.SLUICE_TOKEN) ?? stackToken;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new CliError(exitCodes.usage, "the token holds characters that no token has; copy it again, without spaces");
  }
  return { url, token, byFlag: urlFlag !== undefined };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}

function normalizeUrl(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new CliError(
      exitCodes.usage,
      `${source} is not an http or https URL: '${text}'; write one such as ${defaultUrl}`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new CliError(
      exitCodes.usage,
      `${source} holds a user or password; give the token by --token or SLUICE_TOKEN`,
    );
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/**
 * Reads `.sluice/stack.json` of the nearest folder that has one; where none has, names the nearest folder with a stack
 * that was stopped. Only an address of this machine is taken from it: a
 * folder that came from elsewhere must not lead jobs, with what is in their environment, to somebody else's server.
 */
function findStack(cwd: string): { stack?: { url: string; token: string | undefined }; stopped?: string } {
  let stopped: string | undefined;
  for (let folder = cwd; ; folder = dirname(folder)) {
    const stack = readStack(join(folder, ".sluice", "stack.json"));
    if (stack) return { stack };
    if (stopped === undefined && existsSync(join(folder, ".sluice", "state.json"))) stopped = folder;
    if (dirname(folder) === folder) return stopped === undefined ? {} : { stopped };
  }
}

function readStack(file: string): { url: string; token: string | undefined } | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // Another user's stack is not ours to use; the search goes on.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "EISDIR") return undefined;
    throw error;
  }
  const stack = parseStack(text);
  return stack && URL.canParse(stack.url) && isLoopback(stack.url) ? stack : undefined;
}

function parseStack(text: string): { url: string; token: string | undefined } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Being written at this moment, or damaged: as good as absent.
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { url, token } = value as { url?: unknown; token?: unknown };
  return typeof url === "string" ? { url, token: typeof token === "string" ? token : undefined } : undefined;
}
