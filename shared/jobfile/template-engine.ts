import { Context, Liquid, Parser, type Template, Tokenizer, type TopLevelToken, toPromise, toValue } from "liquidjs";
import { clipText } from "./problem.ts";
import { jobRules } from "./rules.ts";
import type { RunCommand } from "./run-command.ts";
import { absentTags, explainError, type TemplateError, TemplateFault } from "./template-errors.ts";

/** Bounds that no sensible template meets; with them every rendering ends. */
export interface RenderLimits {
  /** Time for rendering itself, without the commands it waits for. */
  renderMs: number;
  /** Time for all commands together. */
  commandsMs: number;
  /** Characters of the rendered text. */
  outputLength: number;
  /** Elements and characters that filters and ranges may make. */
  allocations: number;
}

export const defaultRenderLimits: RenderLimits = {
  renderMs: 5_000,
  commandsMs: 300_000,
  outputLength: jobRules.renderedBytes,
  allocations: 50_000_000,
};

/** LiquidJS takes tags off the front of one array, so its time grows with the square of their number. */
const maxTags = 20_000;
const maxSyntaxErrors = 20;

/** One job file's templates: parsed once, rendered as often as needed within one budget of time. */
export interface TemplateEngine {
  /** Parses; gives every syntax error, none where rendering can begin. */
  parse(): TemplateError[];
  render(scope: object): Promise<{ ok: true; text: string } | { ok: false; error: TemplateError }>;
  /** From now on filters only repeat what commands said before, and end the rendering where that is not known. */
  stopCommands(): void;
}

export function createTemplateEngine(source: string, runCommand: RunCommand, limits: RenderLimits): TemplateEngine {
  const clock = createRenderClock(limits);
  const commands = createCommands(runCommand, clock);
  const liquid = createLiquid(commands.run);
  let templates: Template[] = [];

  function parse(): TemplateError[] {
    const parsed = parseTemplates(source, liquid);
    templates = parsed.templates;
    return parsed.errors;
  }

  async function render(scope: object): ReturnType<TemplateEngine["render"]> {
    // LiquidJS's own limit counts the time that commands take; ours stands still meanwhile.
    const renderLimit = clock as unknown as Context["renderLimit"];
    const renderOptions = { memoryLimit: limits.allocations };
    const context = new Context(scope, liquid.options, renderOptions, { renderLimit, liquid });
    const output = createOutput(limits.outputLength);
    try {
      await toPromise(liquid.renderer.renderTemplates(templates, context, output));
      return { ok: true, text: output.buffer };
    } catch (error) {
      return { ok: false, error: explainError(error, source, "render") };
    }
  }

  return { parse, render, stopCommands: commands.stop };
}

type RunFilter = (filter: "shell" | "exec", program: string, args: readonly string[]) => Promise<string>;

function createLiquid(run: RunFilter): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    // `{% if params.x %}` and `default:` are how a template says that a value may be absent.
    lenientIf: true,
    ownPropertyOnly: true,
    templates: {},
  });
  for (const name of absentTags) delete liquid.tags[name];
  liquid.registerFilter("shell", (command: unknown) =>
    run("shell", "bash", ["-euo", "pipefail", "-c", requireText("shell", command)]),
  );
  liquid.registerFilter("exec", (program: unknown, ...args: unknown[]) =>
    run(
      "exec",
      requireText("exec", program),
      args.map((arg) => (arg === "" ? "" : requireText("exec", arg))),
    ),
  );
  liquid.registerFilter("error", (message: unknown) => {
    throw new TemplateFault("template_failed", String(message));
  });
  return liquid;
}

function requireText(filter: "shell" | "exec", value: unknown): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  const example = filter === "shell" ? '{{ "git rev-parse HEAD" | shell }}' : '{{ "git" | exec: "rev-parse", "HEAD" }}';
  throw new TemplateFault("template_failed", `the ${filter} filter takes text, such as ${example}`);
}

function parseTemplates(source: string, liquid: Liquid): { templates: Template[]; errors: TemplateError[] } {
  const templates: Template[] = [];
  const errors: TemplateError[] = [];
  try {
    const tokens: TopLevelToken[] = new Tokenizer(source, liquid.options.operators).readTopLevelTokens(liquid.options);
    if (tokens.length > maxTags) {
      throw new TemplateFault(
        "template_limit",
        `more than ${maxTags} template tags; use a loop, or data in a file of its own`,
      );
    }
    const parser = new Parser(liquid);
    for (let token = tokens.shift(); token && errors.length < maxSyntaxErrors; token = tokens.shift()) {
      try {
        templates.push(parser.parseToken(token, tokens));
      } catch (error) {
        errors.push(explainError(error, source, "parse"));
      }
    }
  } catch (error) {
    errors.push(explainError(error, source, "parse"));
  }
  return { templates, errors };
}

interface RenderClock {
  /** Called by LiquidJS before each template; throws once rendering has taken too long. */
  check(): void;
  use(): void;
  /** Waits for a command; its time counts against the budget of commands only. */
  waitFor<T>(command: () => Promise<T>): Promise<T>;
}

function createRenderClock(limits: RenderLimits): RenderClock {
  const startedMs = performance.now();
  let waitedMs = 0;

  function check(): void {
    if (performance.now() - startedMs - waitedMs <= limits.renderMs) return;
    throw new TemplateFault(
      "template_limit",
      `rendering takes longer than ${limits.renderMs / 1000} s; loop over less`,
    );
  }

  async function waitFor<T>(command: () => Promise<T>): Promise<T> {
    if (waitedMs > limits.commandsMs) {
      const message = `the commands of this file take longer than ${limits.commandsMs / 1000} s together`;
      throw new TemplateFault("template_limit", message);
    }
    const beganMs = performance.now();
    try {
      return await command();
    } finally {
      waitedMs += performance.now() - beganMs;
    }
  }

  return { check, use: () => undefined, waitFor };
}

function createCommands(runCommand: RunCommand, clock: RenderClock): { run: RunFilter; stop(): void } {
  const outputs = new Map<string, string>();
  let isStopped = false;

  const run: RunFilter = async (filter, program, args) => {
    const key = JSON.stringify([program, args]);
    const known = outputs.get(key);
    if (isStopped) {
      if (known === undefined) throw new TemplateFault("template_failed", "no command is run any more");
      return known;
    }
    const result = await clock.waitFor(() => runCommand(program, args));
    const shown = clipText((filter === "shell" ? args.slice(-1) : [program, ...args]).join(" "), 200);
    if (!result.ok) throw new TemplateFault("command_failed", `command '${shown}' ${result.message}`);
    const output = trimLineEnds(result.stdout);
    outputs.set(key, output);
    return output;
  };

  function stop(): void {
    isStopped = true;
  }

  return { run, stop };
}

/** Without the line ends at its end, as `$(…)` of a shell; by hand, for a pattern would look at each of them again. */
function trimLineEnds(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\n") end -= 1;
  return text.slice(0, end);
}

/** Collects the rendered text up to a bound. */
function createOutput(maxLength: number): { buffer: string; write(part: unknown): void } {
  const output = {
    buffer: "",
    write(part: unknown): void {
      output.buffer += textOf(part);
      if (output.buffer.length <= maxLength) return;
      throw new TemplateFault("template_limit", `the rendered text is longer than ${maxLength} characters`);
    },
  };
  return output;
}

function textOf(part: unknown): string {
  const value = toValue(part);
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(textOf).join("");
  if (typeof value !== "object") return String(value);
  throw new TemplateFault(
    "template_failed",
    "this is a map, which has no text; name one of its keys, or use the json filter",
  );
}
