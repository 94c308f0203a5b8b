import type { ConfiguredLimits } from "../shared/domain/limits.ts";
import { isVersion } from "../shared/domain/version-order.ts";
import { parseLimits } from "../shared/infrastructure/limit-settings.ts";

/** What the functions are told by their environment, beside the resources linked to them. */
export interface FunctionsConfig {
  limits: ConfiguredLimits;
  /** Workers of an older version drain by themselves; undefined: any will do. */
  requiredWorkerVersion: string | undefined;
}

export type ParsedConfig = { ok: true; config: FunctionsConfig } | { ok: false; problems: string[] };

/** Reads the functions' configuration from their environment; pure, and tells all problems at once. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ParsedConfig {
  const parsed = parseLimits(env);
  const requiredWorkerVersion = env.SLUICE_REQUIRED_WORKER_VERSION || undefined;
  const problems = parsed.ok ? [] : [...parsed.problems];
  if (requiredWorkerVersion !== undefined && !isVersion(requiredWorkerVersion)) {
    problems.push(`SLUICE_REQUIRED_WORKER_VERSION is a version such as 1.4.0; it is '${requiredWorkerVersion}'`);
  }
  if (!parsed.ok || problems.length > 0) return { ok: false, problems };
  return { ok: true, config: { limits: parsed.limits, requiredWorkerVersion } };
}
