import { arrangeFindings, explainTooLarge, formatPath, type Problem } from "./problem.ts";
import { jobRules } from "./rules.ts";
import type { JobDocument } from "./schema.ts";
import type { JobIssue } from "./schema-issues.ts";
import { indexPlaces, type TextPlaces } from "./text-places.ts";
import { type JobValidation, validateJob } from "./validate.ts";
import { type OffsetProblem, readYaml, type YamlSource } from "./yaml-source.ts";

/**
 * A job file that can be run, or everything that is wrong with it. `locate` gives a place in the file to what others
 * find wrong with the job.
 */
export type ParsedJobFile =
  | { ok: true; job: JobDocument; locate: (issues: readonly JobIssue[]) => Problem[] }
  | { ok: false; problems: Problem[] };

export interface ParseOptions {
  /** Name of the file as the user gave it. */
  fileName: string;
  /** Set where the text came out of templates: it may be larger, and problems say that they refer to it. */
  isRendered?: boolean;
}

/** Reads a job file (YAML, templates already rendered). Never throws for what the text says. */
export function parseJobFile(text: string, options: ParseOptions): ParsedJobFile {
  // Editors do not count a byte order mark as a column.
  const source = text.replace(/^\uFEFF/, "");
  const file = options.isRendered ? `${options.fileName} (rendered)` : options.fileName;
  const places = indexPlaces(source);
  const tooLarge = explainTooLarge(source, options.isRendered ? jobRules.renderedBytes : jobRules.sourceBytes);
  if (tooLarge !== undefined) {
    return { ok: false, problems: [{ file, ...places.at(0), path: "", message: tooLarge, code: "too_large" }] };
  }
  const yaml = readYaml(source);
  const validation: JobValidation = yaml.value === undefined ? { ok: false, issues: [] } : validateJob(yaml.value);
  const locate = (issues: readonly JobIssue[]) =>
    arrangeFindings([...yaml.problems, ...locateIssues(issues, yaml)]).map((problem) =>
      placeProblem(problem, file, places),
    );
  if (validation.ok && yaml.problems.length === 0) return { ...validation, locate };
  return { ok: false, problems: locate(validation.ok ? [] : validation.issues) };
}

function locateIssues(issues: readonly JobIssue[], yaml: YamlSource): OffsetProblem[] {
  return issues.map(({ path, part, message, code, related }) => ({
    offset: yaml.locate(path, part),
    path,
    message,
    code,
    ...(related && { related: { offset: yaml.locate(related.path, "value"), message: related.message } }),
  }));
}

function placeProblem(problem: OffsetProblem, file: string, places: TextPlaces): Problem {
  const { offset, path, message, code, related } = problem;
  return {
    file,
    ...places.at(offset),
    path: formatPath(path),
    message,
    code,
    ...(related && { related: { ...places.at(related.offset), message: related.message } }),
  };
}
