import type { z } from "zod";
import type { jobSchema } from "./schema.ts";

/** A job as a job file in TypeScript says it: the same keys and values as in YAML, defaults left out. */
export type JobFile = z.input<typeof jobSchema>;

/** What the function of a job file gets: the environment of the command line, arguments, and values of `-p`. */
export interface JobInputs {
  env: Readonly<Record<string, string | undefined>>;
  args: readonly string[];
  params: Readonly<Record<string, string | undefined>>;
}

/** What a job file exports by default. */
export type JobDefinition = JobFile | ((inputs: JobInputs) => JobFile | Promise<JobFile>);

/** Gives a job, or the function that makes it, its types; answers what it was given. */
export function defineJob(job: JobDefinition): JobDefinition {
  return job;
}
