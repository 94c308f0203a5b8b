import { filters, LiquidError, tags } from "liquidjs";
import { cleanLines, clipText, type ProblemCode } from "./problem.ts";
import { suggestNearest } from "./suggest.ts";

/** Ends a rendering with a message of our own: from a filter, or at a limit. */
export class TemplateFault extends Error {
  readonly code: ProblemCode;

  constructor(code: ProblemCode, message: string) {
    super(message);
    this.name = "TemplateFault";
    this.code = code;
  }
}

/** What went wrong in a template. `offset` is undefined where the place is not known. */
export interface TemplateError {
  code: ProblemCode;
  message: string;
  offset: number | undefined;
  /** The variable that is not defined, by its parts joined with dots. */
  missingVariable?: string;
}

const ownFilters = ["shell", "exec", "error"];
const rawHint = "write {% raw %}…{% endraw %} around text that is not meant as a template";

/** Translates whatever parsing or rendering threw. */
export function explainError(error: unknown, source: string, phase: "parse" | "render"): TemplateError {
  const offset = LiquidError.is(error) && error.token.input === source ? error.token.begin : undefined;
  const cause = findCause(error);
  if (cause instanceof TemplateFault) return { code: cause.code, message: cleanLines(cause.message), offset };
  if ("variableName" in cause && typeof cause.variableName === "string") {
    const missingVariable = cause.variableName;
    return { code: "undefined_variable", message: explainMissingVariable(missingVariable), offset, missingVariable };
  }
  if (cause instanceof RangeError || /limit exceeded$/.test(cause.message)) {
    const message = "the template grows too large or is nested too deep; make it smaller";
    return { code: "template_limit", message, offset };
  }
  const code = phase === "parse" ? "template_syntax" : "template_failed";
  return { code, message: explainMessage(cause.message, phase), offset };
}

/** The first error that was thrown; LiquidJS wraps it once for each place it passes. */
function findCause(error: unknown): Error {
  let cause = error instanceof Error ? error : new Error(String(error));
  for (let depth = 0; depth < 10 && LiquidError.is(cause) && cause.originalError; depth++) cause = cause.originalError;
  return cause;
}

function explainMissingVariable(name: string): string {
  const [head = "", ...rest] = name.split(".");
  const key = rest.length === 1 ? clipText(rest.join(".")) : "";
  const fallback = (variable: string) => `give it a default: {{ ${variable} | default: "…" }}`;
  if (head === "params" && key !== "") {
    return `params.${key} is not given; pass it with -p ${key}=VALUE, or ${fallback(`params.${key}`)}`;
  }
  if (head === "env" && key !== "") {
    return `env.${key} is not set in the environment of this command; set it, or ${fallback(`env.${key}`)}`;
  }
  if (head === "args" && /^\d+$/.test(key)) {
    const wanted = Number(key) + 1;
    return `args[${key}] is not given; pass ${wanted === 1 ? "an argument" : `${wanted} arguments`} after the job file's name`;
  }
  const nearest = suggestNearest(head, ["env", "args", "params"]);
  const help =
    nearest !== undefined && nearest !== head
      ? `did you mean '${[nearest, ...rest].join(".")}'?`
      : `templates know env, args, params and what they assign themselves; ${rawHint}`;
  return `'${clipText(name)}' is not defined; ${help}`;
}

/** LiquidJS's message with the name that was probably meant, or with what to do. */
function explainMessage(message: string, phase: "parse" | "render"): string {
  const text = clipText(message.replace(/, line:\d+, col:\d+$/, ""), 300);
  const tag = /^tag "(.*)" not found$/.exec(text)?.[1];
  if (tag !== undefined) return `unknown tag '${tag}'${suggest(tag, listTagNames())}; ${rawHint}`;
  const filter = /^undefined filter: (.*)$/.exec(text)?.[1];
  if (filter !== undefined)
    return `unknown filter '${filter}'${suggest(filter, [...Object.keys(filters), ...ownFilters])}`;
  const end = text.includes("output") ? "}}" : text.includes("raw") ? "{% endraw %}" : "%} or its end tag";
  if (text.endsWith("not closed")) return `${text}; add the missing ${end}, or ${rawHint}`;
  return phase === "parse" ? `${text}; ${rawHint}` : text;
}

function suggest(name: string, known: readonly string[]): string {
  const nearest = suggestNearest(name, known);
  return nearest === undefined ? "" : ` (did you mean '${nearest}'?)`;
}

/** Tags that read other files are no part of job files. */
export const absentTags: readonly string[] = ["include", "render", "layout", "block"];

function listTagNames(): string[] {
  return Object.keys(tags).filter((name) => !absentTags.includes(name));
}
