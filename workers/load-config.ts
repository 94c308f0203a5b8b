import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type ParsedConfig, parseConfig, workerVariables } from "./config.ts";
import { explainUnknown, parseConfigFile } from "./config-file.ts";
import { Secret } from "./secret.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Names that are read here, before the rest: files that hold the rest. */
const fileVariables = ["SLUICE_CONFIG", "SLUICE_TOKEN_FILE"];
/** The variables that Sluice gives to steps: a worker may be one. */
const stepVariables = /^SLUICE_(JOB|TASK|TASK_FQN|ATTEMPT|STEP|SLOTS|WORKSPACE|OUTPUT|SHARED)$/;

export interface LoadedConfig {
  parsed: ParsedConfig;
  /** Variables of the environment that look as if they were meant for a worker and are not. */
  warnings: string[];
  /** What the configuration file says to others than Sluice, such as to AWS's SDK. */
  forOthers: Record<string, string>;
  /** Reads the token again where it is in a file; undefined where it is not, or cannot be read now. */
  readToken?: () => Secret | undefined;
}

export interface LoadConfigOptions {
  env: Env;
  host: { cores: number; cwd: string; uid: number; stopTimeoutMs?: number | undefined };
}

/**
 * Reads a worker's configuration: its environment, over what stands in the file that `SLUICE_CONFIG` names, with the token
 * from `SLUICE_TOKEN_FILE` where that is set. All problems are told at once.
 */
export function loadConfig({ env, host }: LoadConfigOptions): LoadedConfig {
  const known = [...workerVariables, ...fileVariables];
  const problems: string[] = [];
  const fromFile = env.SLUICE_CONFIG
    ? readConfigFile(resolve(host.cwd, env.SLUICE_CONFIG), host.uid, known, problems)
    : {};
  const merged: Record<string, string | undefined> = { ...fromFile, ...env };
  const warnings = Object.keys(env).flatMap((name) => {
    const unknown = stepVariables.test(name) ? undefined : explainUnknown(name, known);
    return unknown?.includes("did you mean") ? [unknown] : [];
  });
  const tokenFile = merged.SLUICE_TOKEN_FILE && resolve(host.cwd, merged.SLUICE_TOKEN_FILE);
  if (tokenFile) {
    if (merged.SLUICE_TOKEN) problems.push("SLUICE_TOKEN and SLUICE_TOKEN_FILE are both set: set one of them");
    else merged.SLUICE_TOKEN = readPrivateFile("SLUICE_TOKEN_FILE", tokenFile, host.uid, problems)?.trim();
  }
  const parsed = parseConfig(merged, host);
  const isTokenTold = problems.some((problem) => problem.startsWith("SLUICE_TOKEN_FILE"));
  const all = parsed.ok
    ? problems
    : [...problems, ...parsed.problems.filter((problem) => !(isTokenTold && problem.startsWith("SLUICE_TOKEN ")))];
  return {
    parsed: all.length > 0 ? { ok: false, problems: all } : parsed,
    warnings,
    forOthers: Object.fromEntries(
      Object.entries(fromFile).filter(([name]) => !name.startsWith("SLUICE_") && env[name] === undefined),
    ),
    ...(tokenFile ? { readToken: () => readToken(tokenFile, host.uid) } : {}),
  };
}

function readToken(path: string, uid: number): Secret | undefined {
  const text = readPrivateFile("SLUICE_TOKEN_FILE", path, uid, [])?.trim();
  return text ? new Secret(text) : undefined;
}

function readConfigFile(
  path: string,
  uid: number,
  known: readonly string[],
  problems: string[],
): Record<string, string> {
  const text = readPrivateFile("SLUICE_CONFIG", path, uid, problems);
  if (text === undefined) return {};
  const parsed = parseConfigFile(text, known);
  problems.push(...parsed.problems.map((problem) => `SLUICE_CONFIG: ${path}, ${problem}`));
  return parsed.values;
}

/** Reads a file that holds a secret: one that others may read or change is refused. */
function readPrivateFile(variable: string, path: string, uid: number, problems: string[]): string | undefined {
  try {
    const stats = statSync(path);
    if (!stats.isFile()) problems.push(`${variable}: ${path} is no file`);
    else if ((stats.mode & 0o077) !== 0) {
      const mode = (stats.mode & 0o777).toString(8);
      problems.push(`${variable}: ${path} holds a secret and is open to others (mode ${mode}): chmod 600 ${path}`);
    } else if (stats.uid !== uid && stats.uid !== 0) {
      problems.push(
        `${variable}: ${path} belongs to the user ${stats.uid}, who is neither root nor the worker's (${uid})`,
      );
    } else return readFileSync(path, "utf8");
  } catch (error) {
    problems.push(`${variable}: ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return undefined;
}
