/** Kinds of problems a job file can have; stable, so that tools can branch on them. */
export type ProblemCode =
  | "too_large"
  | "yaml_syntax"
  | "nested_too_deep"
  | "too_many_aliases"
  | "duplicate_key"
  | "unknown_key"
  | "missing_key"
  | "conflicting_keys"
  | "wrong_type"
  | "invalid_value"
  | "out_of_range"
  | "missing_file"
  | "duplicate_task"
  | "unknown_need"
  | "circular_needs"
  | "template_syntax"
  | "undefined_variable"
  | "template_failed"
  | "template_limit"
  | "command_failed"
  | "code_failed";

/** Where a value sits in a job file, from the top: keys of maps and 0-based indexes of lists. */
export type Path = readonly (string | number)[];

/** A place in a text, with the line it is on; lines and columns count from 1, columns in UTF-16 units. */
export interface Place {
  line: number;
  column: number;
  /** The line of text, cut around the column where it is long; `caret` is the 0-based offset of the column in it. */
  excerpt: { text: string; caret: number };
}

/** One thing that is wrong with a job file: where, what, and what to do. */
export interface Problem extends Place {
  /** Name of the file; `(rendered)` is added where positions refer to the text that its templates produced. */
  file: string;
  /** Where in the job, such as `steps[1].image`; empty for the file as a whole. */
  path: string;
  message: string;
  code: ProblemCode;
  /** A second place that belongs to it, such as the first definition of a repeated name. */
  related?: Place & { message: string };
}

/** Problems listed at most; a file with more is told how many more there are. */
export const maxProblems = 100;

/** A path as users read it: `steps[1].image`, `env["a key"]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += `[${JSON.stringify(clipText(part))}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

/** A user's text as part of a message: on one line, without control characters, at most 60 characters. */
export function clipText(text: string, maxLength = 60): string {
  const clipped = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
  return replaceControls(clipped);
}

/** Control characters would move a terminal's cursor or change its colours: shown as `·`. */
export function replaceControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "·");
}

/** Messages of commands and of a user's code may have several lines, but nothing that steers a terminal. */
export function cleanLines(message: string): string {
  return message.slice(0, 2_000).split("\n").map(replaceControls).join("\n");
}

/** Sorts what was found by its offset in the text, drops repeats and bounds its number. */
export function arrangeFindings<T extends { offset?: number | undefined; message: string }>(
  findings: readonly T[],
): T[] {
  const distinct = new Map(findings.map((finding) => [`${finding.offset}:${finding.message}`, finding]));
  const sorted = [...distinct.values()].sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
  const listed = sorted.slice(0, maxProblems);
  const last = listed.at(-1);
  if (last && sorted.length > maxProblems) {
    listed[maxProblems - 1] = {
      ...last,
      message: `${last.message} (and ${sorted.length - maxProblems} more problems)`,
    };
  }
  return listed;
}

/** Says that a job file is too large, or undefined where it is not. */
export function explainTooLarge(source: string, maxBytes: number): string | undefined {
  const bytes = Buffer.byteLength(source);
  if (bytes <= maxBytes) return undefined;
  return `the job file has ${bytes} bytes; at most ${maxBytes} are allowed; move scripts and data into files of their own`;
}
