import type { ConfiguredLimits } from "../shared/domain/limits.ts";
import { parseLimits } from "../shared/infrastructure/limit-settings.ts";

/** What the functions are told by their environment, beside the resources linked to them. */
export interface FunctionsConfig {
  limits: ConfiguredLimits;
}

export type ParsedConfig = { ok: true; config: FunctionsConfig } | { ok: false; problems: string[] };

/** Reads the functions' configuration from their environment; pure, and tells all problems at once. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ParsedConfig {
  const parsed = parseLimits(env);
  return parsed.ok ? { ok: true, config: { limits: parsed.limits } } : parsed;
}
