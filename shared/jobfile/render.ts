import { arrangeFindings, explainTooLarge, type Problem } from "./problem.ts";
import { jobRules } from "./rules.ts";
import type { RunCommand } from "./run-command.ts";
import {
  createTemplateEngine,
  defaultRenderLimits,
  type RenderLimits,
  type TemplateEngine,
} from "./template-engine.ts";
import type { TemplateError } from "./template-errors.ts";
import { indexPlaces } from "./text-places.ts";

/** What a template may use. */
export interface RenderOptions {
  /** Name of the file as the user gave it. */
  fileName: string;
  /** Environment of the command line. */
  env: Readonly<Record<string, string | undefined>>;
  /** Arguments after the file's name. */
  args: readonly string[];
  /** Values given with `-p NAME=VALUE`. */
  params: Readonly<Record<string, string>>;
  /** Runs the commands of the `shell` and `exec` filters. */
  runCommand: RunCommand;
  limits?: Partial<RenderLimits>;
}

export type RenderedJobFile = { ok: true; text: string } | { ok: false; problems: Problem[] };

const maxMissingVariables = 50;

/**
 * Renders a job file's text. All syntax problems, or all variables that are missing, are told at once; a command that
 * fails or an `error` filter ends the rendering. Never throws for what the text says.
 */
export async function renderJobFile(source: string, options: RenderOptions): Promise<RenderedJobFile> {
  const errors: TemplateError[] = [];
  const tooLarge = explainTooLarge(source, jobRules.sourceBytes);
  if (tooLarge !== undefined) errors.push({ code: "too_large", message: tooLarge, offset: 0 });
  else {
    const engine = createTemplateEngine(source, options.runCommand, { ...defaultRenderLimits, ...options.limits });
    errors.push(...engine.parse());
    const rendered = errors.length === 0 ? await engine.render(createScope(options)) : undefined;
    if (rendered?.ok) return rendered;
    if (rendered)
      errors.push(rendered.error, ...(await findFurtherMissing(rendered.error, engine, createScope(options))));
  }
  return { ok: false, problems: placeErrors(errors, source, options.fileName) };
}

function placeErrors(errors: readonly TemplateError[], source: string, file: string): Problem[] {
  const places = indexPlaces(source);
  return arrangeFindings(errors).map(({ offset = 0, message, code }) => {
    return { file, ...places.at(offset), path: "", message, code };
  });
}

type Scope = Record<string, unknown>;

function createScope({ env, args, params }: RenderOptions): Scope {
  return { env: { ...env }, args: [...args], params: { ...params } };
}

/**
 * Renders again with each missing variable filled in, to tell all that are missing at once. Nothing new is run
 * meanwhile: a command built from a filled-in value could do anything.
 */
async function findFurtherMissing(
  first: TemplateError,
  engine: TemplateEngine,
  scope: Scope,
): Promise<TemplateError[]> {
  const further: TemplateError[] = [];
  engine.stopCommands();
  let error = first;
  while (further.length < maxMissingVariables && error.missingVariable !== undefined) {
    if (!fillIn(scope, error.missingVariable.split("."))) break;
    const rendered = await engine.render(scope);
    if (rendered.ok || rendered.error.missingVariable === undefined) break;
    if (rendered.error.missingVariable === error.missingVariable) break;
    // A misspelt head (`parms`) is missing once for itself and once for its key: one place, one problem.
    if (rendered.error.offset !== error.offset) further.push(rendered.error);
    error = rendered.error;
  }
  return further;
}

function fillIn(scope: Scope, path: readonly string[]): boolean {
  const [head = "", key, ...deeper] = path;
  if (deeper.length > 0) return false;
  if (key === undefined) {
    scope[head] = "";
    return true;
  }
  const holder = scope[head];
  if (typeof holder !== "object" || holder === null) return false;
  // Numbers are positions of `args`, whose gaps count as missing too.
  if (Array.isArray(holder) && !/^\d{1,4}$/.test(key)) return false;
  (holder as Scope)[key] = "";
  return true;
}
