import * as z from "zod";
import { type ConfiguredLimits, defaultLimits, limits } from "../domain/limits.ts";

/** The limits that an installation has set, or everything that is wrong with what it says. */
export type ParsedLimits = { ok: true; limits: ConfiguredLimits } | { ok: false; problems: string[] };

/** Each limit by its variable, with the least and the most it may be. */
const settings: Record<string, { limit: keyof ConfiguredLimits; min: number; max: number }> = {
  SLUICE_LIMITS_TASKS_PER_JOB: { limit: "tasksPerJob", min: 1, max: limits.tasksPerJob },
  SLUICE_LIMITS_JOBS_IN_FLIGHT: { limit: "jobsInFlight", min: 1, max: 100_000 },
  SLUICE_LIMITS_REQUEST_BODY_BYTES: { limit: "requestBodyBytes", min: 1024, max: limits.requestBodyBytes },
  SLUICE_LIMITS_TASK_PAGE: { limit: "taskPage", min: 1, max: limits.pageSize },
  SLUICE_LIMITS_EVENT_PAGE: { limit: "eventPage", min: 1, max: limits.pageSize },
  SLUICE_LIMITS_EVENT_PAGE_BYTES: { limit: "eventPageBytes", min: 1024, max: limits.eventPageBytes },
  SLUICE_LIMITS_LOG_PAGE_LINES: { limit: "logPageLines", min: 1, max: limits.logPageLines },
  SLUICE_LIMITS_LOG_PAGE_BYTES: { limit: "logPageBytes", min: 1024, max: limits.logPageBytes },
  SLUICE_LIMITS_FOLLOW_SECONDS: { limit: "followSeconds", min: 1, max: limits.followSeconds },
  SLUICE_LIMITS_IMAGE_DAYS: { limit: "imageDays", min: limits.imageRetryDays, max: 3_650 },
  SLUICE_LIMITS_IMAGE_GIGABYTES: { limit: "imageGigabytes", min: 1, max: 1_000_000 },
};

const prefix = "SLUICE_LIMITS_";

const envSchema = z.object(
  Object.fromEntries(
    Object.entries(settings).map(([variable, { limit, min, max }]) => {
      const message = `is a whole number from ${min} to ${max}`;
      const number = z.string().regex(/^\d+$/, message).transform(Number);
      const bounded = number.refine((value) => value >= min && value <= max, message);
      return [variable, bounded.default(defaultLimits[limit])];
    }),
  ),
);

/** The variables of an environment that set limits: what a deployment hands on to its functions. */
export function pickLimitVariables(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith(prefix) && value !== undefined ? [[name, value] as const] : [],
  );
  return Object.fromEntries(entries);
}

/** Reads limits from an environment; pure, and tells all problems at once. */
export function parseLimits(env: Readonly<Record<string, string | undefined>>): ParsedLimits {
  const unknown = Object.keys(pickLimitVariables(env)).filter((name) => !Object.hasOwn(settings, name));
  const problems = unknown.map((name) => `${name} is no setting; there are ${Object.keys(settings).join(", ")}`);
  const parsed = envSchema.safeParse(env);
  if (!parsed.success) {
    const messages = parsed.error.issues.map(({ path, message }) => `${String(path[0])} ${message}`);
    return { ok: false, problems: [...problems, ...new Set(messages)] };
  }
  const set = Object.entries(settings).map(([variable, { limit }]) => [limit, parsed.data[variable]]);
  const configured = { ...defaultLimits, ...Object.fromEntries(set) } as ConfiguredLimits;
  problems.push(...findContradictions(configured));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, limits: configured };
}

/** What no single limit shows: a job that one limit allows must not be made impossible by another. */
function findContradictions({ requestBodyBytes }: ConfiguredLimits): string[] {
  const least = limits.jobSpecBytes + limits.taskBytes;
  if (requestBodyBytes >= least) return [];
  return [
    `SLUICE_LIMITS_REQUEST_BODY_BYTES (${requestBodyBytes}) is less than ${least}: a job of the largest spec (${limits.jobSpecBytes}) with one task of the largest size (${limits.taskBytes}) must fit`,
  ];
}
