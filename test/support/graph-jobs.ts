import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import { noopJob } from "./control-plane.ts";

/** A job that does nothing, by the needs of its tasks: `{ build: "", lint: "build", publish: "build lint" }`. */
export function graphJob(needs: Record<string, string>, change: Partial<JobSpecInput> = {}): JobSpecInput {
  const tasks = Object.entries(needs).map(([name, own]) => ({ name, needs: own.split(" ").filter(Boolean) }));
  return { ...noopJob([]), tasks, ...change };
}

/** One task, two that need it, and one that needs both. */
export const diamond = { build: "", lint: "build", unit: "build", publish: "lint unit" };
