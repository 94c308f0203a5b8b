import { readCodeSource } from "./code-source.ts";
import type { ParsedJobFile } from "./parse.ts";
import { arrangeFindings, cleanLines, formatPath, type Problem } from "./problem.ts";
import type { JobIssue } from "./schema-issues.ts";
import { indexPlaces } from "./text-places.ts";
import { validateJob } from "./validate.ts";

/** What the code of a job file came to; places count from 1. */
export type CodeOutcome =
  | { ok: true; value: unknown; issues: JobIssue[] }
  | { ok: false; message: string; line?: number; column?: number };

/** The job that code has made, or everything that is wrong with it, at its places in the code as far as it says them. */
export function parseCodeJob(source: string, fileName: string, outcome: CodeOutcome): ParsedJobFile {
  const places = indexPlaces(source);
  if (!outcome.ok) {
    const { line, column } = outcome;
    const message = cleanLines(outcome.message);
    const offset = line === undefined ? 0 : places.offsetOf(line, column ?? 1);
    return { ok: false, problems: [{ file: fileName, ...places.at(offset), path: "", message, code: "code_failed" }] };
  }
  const code = readCodeSource(source);
  const locate = (issues: readonly JobIssue[]): Problem[] =>
    arrangeFindings(issues.map((issue) => ({ ...issue, offset: code.locate(issue.path, issue.part) }))).map(
      ({ offset, path, message, code: problemCode, related }) => ({
        file: fileName,
        ...places.at(offset),
        path: formatPath(path),
        message,
        code: problemCode,
        ...(related && {
          related: { ...places.at(code.locate(related.path, "value")), message: related.message },
        }),
      }),
    );
  // What is no data is told alone: what the schema says about its absence would only hide the cause.
  if (outcome.issues.length > 0) return { ok: false, problems: locate(outcome.issues) };
  const validation = validateJob(outcome.value);
  return validation.ok ? { ...validation, locate } : { ok: false, problems: locate(validation.issues) };
}

/** Where an error that code threw says that it happened in a file: in its stack, or before it for errors of syntax. */
export function findErrorPlace(stack: string, fileUrl: string): { line?: number; column?: number } {
  const syntax = /^(file:\S+?):(\d+)\n(?:.*\n){0,20}?( *)\^/.exec(stack);
  if (syntax?.[1] === fileUrl) return { line: Number(syntax[2]), column: (syntax[3]?.length ?? 0) + 1 };
  for (const [, url, line, column] of stack.matchAll(/(file:\S+?):(\d+):(\d+)/g)) {
    if (url === fileUrl) return { line: Number(line), column: Number(column) };
  }
  return {};
}
