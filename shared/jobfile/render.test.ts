import { describe, expect, it } from "vitest";
import { type RenderedJobFile, type RenderOptions, renderJobFile } from "./render.ts";
import type { RunCommand } from "./run-command.ts";

/** Commands by what they would print; each call is noted. */
function fakeCommands(outputs: Readonly<Record<string, string>>): { runCommand: RunCommand; calls: string[] } {
  const calls: string[] = [];
  const runCommand: RunCommand = async (program, args) => {
    const call = [program, ...args].join(" ");
    calls.push(call);
    const stdout = outputs[call];
    return stdout === undefined ? { ok: false, message: "exited with 1" } : { ok: true, stdout };
  };
  return { runCommand, calls };
}

function render(source: string, options: Partial<RenderOptions> = {}): Promise<RenderedJobFile> {
  const { runCommand } = fakeCommands({});
  return renderJobFile(source, {
    fileName: "job.yaml",
    env: { HOME: "/home/me" },
    args: ["first"],
    params: { tag: "v1" },
    runCommand,
    ...options,
  });
}

async function textOf(source: string, options: Partial<RenderOptions> = {}): Promise<string> {
  const rendered = await render(source, options);
  if (!rendered.ok) throw new Error(rendered.problems.map(({ message }) => message).join("; "));
  return rendered.text;
}

/** Each problem as `line:column code message`. */
async function explain(source: string, options: Partial<RenderOptions> = {}): Promise<string[]> {
  const rendered = await render(source, options);
  if (rendered.ok) return [];
  return rendered.problems.map(({ line, column, code, message }) => `${line}:${column} ${code} ${message}`);
}

const bash = "bash -euo pipefail -c";

describe("renderJobFile", () => {
  it("fills in env, args and params", async () => {
    expect(await textOf("{{ env.HOME }} {{ args[0] }} {{ params.tag }}")).toBe("/home/me first v1");
  });

  it("has Liquid's own tags and filters", async () => {
    expect(await textOf('{% for i in (1..3) %}- t{{ i }}\n{% endfor %}{{ "a" | upcase }}')).toBe("- t1\n- t2\n- t3\nA");
  });

  it("runs shell commands by bash -euo pipefail, without the line ends of their output", async () => {
    const { runCommand } = fakeCommands({ [`${bash} ./list.sh`]: "one\ntwo\n\n" });
    const source = '{% assign ids = "./list.sh" | shell | split: "\n" %}{% for id in ids %}[{{ id }}]{% endfor %}';
    expect(await textOf(source, { runCommand })).toBe("[one][two]");
  });

  it("runs programs with arguments, empty ones too, without a shell", async () => {
    const { runCommand, calls } = fakeCommands({ "echo $HOME  3": "$HOME  3\n" });
    expect(await textOf('{{ "echo" | exec: "$HOME", "", 3 }}', { runCommand })).toBe("$HOME  3");
    expect(calls).toEqual(["echo $HOME  3"]);
  });

  it("stops with the message of the error filter", async () => {
    expect(await explain('ok\n{{ "pass -p tag=…" | error }}')).toEqual(["2:1 template_failed pass -p tag=…"]);
  });

  it("stops at a command that fails, and runs none after it", async () => {
    const { runCommand, calls } = fakeCommands({ [`${bash} after`]: "" });
    const problems = await explain('a\n  {{ "false" | shell }}{{ "after" | shell }}', { runCommand });
    expect(problems).toEqual(["2:3 command_failed command 'false' exited with 1"]);
    expect(calls).toEqual([`${bash} false`]);
  });

  it("never renders a missing variable as nothing: all that are missing are told at once", async () => {
    const source = "{{ params.a }}\n {{ args[2] }} {{ env.NOPE }}\n{{ parms.b }} {{ params.a }}";
    expect(await explain(source)).toEqual([
      '1:4 undefined_variable params.a is not given; pass it with -p a=VALUE, or give it a default: {{ params.a | default: "…" }}',
      "2:5 undefined_variable args[2] is not given; pass 3 arguments after the job file's name",
      '2:19 undefined_variable env.NOPE is not set in the environment of this command; set it, or give it a default: {{ env.NOPE | default: "…" }}',
      "3:4 undefined_variable 'parms' is not defined; did you mean 'params'?",
    ]);
  });

  it("runs no command that a missing variable would be part of", async () => {
    const { runCommand, calls } = fakeCommands({ [`${bash} hello`]: "hi" });
    const source =
      '{{ "hello" | shell }}{% assign c = "rm -rf /" | append: params.folder %}{{ c | shell }}{{ params.b }}';
    expect(await explain(source, { runCommand })).toHaveLength(1);
    expect(calls).toEqual([`${bash} hello`]);
  });

  it("lets a template say that a value may be absent", async () => {
    expect(await textOf('{% if params.x %}yes{% else %}no{% endif %} {{ params.y | default: "z" }}')).toBe("no z");
  });

  it("reads nothing that is not the template's own", async () => {
    expect(await explain("{{ params.constructor }}")).toHaveLength(1);
    expect(await explain("{{ toString }}")).toHaveLength(1);
    expect(await explain('{% include "/etc/passwd" %}')).toEqual([expect.stringContaining("unknown tag 'include'")]);
    expect(await explain('{% render "x" %}{% layout "x" %}')).toHaveLength(2);
  });

  it("refuses to print a map", async () => {
    expect(await explain("{{ env }}")).toEqual([expect.stringContaining("1:1 template_failed this is a map")]);
  });

  it.each([
    ["name: {{ params.tag", "1:7 template_syntax", "add the missing }}"],
    ["a\n{% for i in (1..3) %}", "2:1 template_syntax", "not closed"],
    ["a\n  {% fro i in (1..3) %}", "2:3 template_syntax", "did you mean 'for'?"],
    ['{{ "a" | upcas }}', "1:1 template_syntax", "did you mean 'upcase'?"],
    ['{{ "a" | shel }}', "1:1 template_syntax", "did you mean 'shell'?"],
    ["run: docker ps --format '{{.Names}}'", "1:28 undefined_variable", "{% raw %}"],
    ["{{ }}", "1:4 template_syntax", "{% raw %}"],
  ])("explains %s", async (source, place, part) => {
    const [problem] = await explain(source);
    expect(problem).toContain(place);
    expect(problem).toContain(part);
  });

  it("tells all syntax problems at once", async () => {
    expect(await explain("{% a1 %}\n{% b2 %}\n{{ 1 | c3 }}")).toHaveLength(3);
  });

  it("ends endless loops, and does not count the time that commands take", async () => {
    const limits = { renderMs: 100 };
    const loops =
      "{% for a in (1..999) %}{% for b in (1..999) %}{% for c in (1..999) %}{% endfor %}{% endfor %}{% endfor %}";
    expect(await explain(loops, { limits })).toEqual([
      expect.stringContaining("template_limit rendering takes longer"),
    ]);
    const runCommand: RunCommand = async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      return { ok: true, stdout: "done" };
    };
    expect(await textOf('{{ "slow" | shell }}{{ "!" }}', { limits, runCommand })).toBe("done!");
  });

  it("bounds the time of all commands together", async () => {
    const runCommand: RunCommand = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { ok: true, stdout: "x" };
    };
    const source = '{% for i in (1..1000) %}{{ "slow" | shell }}{% endfor %}';
    const problems = await explain(source, { runCommand, limits: { commandsMs: 50 } });
    expect(problems).toEqual([expect.stringContaining("template_limit the commands of this file")]);
  });

  it.each([
    ["a long text", "{% for i in (1..1000000) %}aaaaaaaaaaaaaaaa{% endfor %}"],
    ["a wide range", "{% for i in (1..1000000000) %}{% endfor %}"],
    ["doubling text", '{% assign x = "aaaa" %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}'],
    ["a padded date", '{{ "now" | date: "%1000000000d" }}'],
    ["deep tags", "{% if true %}".repeat(9_000) + "{% endif %}".repeat(9_000)],
    ["countless tags", "{{1}}".repeat(40_000)],
  ])("bounds %s", async (_, source) => {
    const rendered = await render(source);
    expect(rendered.ok ? [] : rendered.problems.map(({ code }) => code)).toContain("template_limit");
  });

  it("refuses a file that is too large before it looks inside", async () => {
    expect(await explain("x".repeat(300_000))).toEqual([expect.stringContaining("1:1 too_large")]);
  });
});
