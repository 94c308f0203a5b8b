import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findErrorPlace, parseCodeJob } from "./code-job.ts";
import { readCodeSource } from "./code-source.ts";
import { toPlainValue } from "./plain-value.ts";

/** Places and paths of what is wrong, as `line:column path`. */
function check(source: string, made: unknown): string[] {
  const parsed = parseCodeJob(source, "job.ts", { ok: true, ...toPlainValue(made) });
  return parsed.ok ? [] : parsed.problems.map(({ line, column, path }) => `${line}:${column} ${path}`);
}

describe("parseCodeJob", () => {
  it("places problems where the code says the value, and at what computes it where it does not", () => {
    const source = `import { defineJob } from "sluice"; // it's { name: "no", steps: [] }
type Job = { name: string; steps: string; tasks: string; env: string };
const services = { redis: { image: "redis:7", helth: 1 } };
export default defineJob(({ params }) => ({
  name: \`Bad \${params.x}\`, env: { port: "1" }, timeout: /"\\//.test(params.x) ? "5m" : "5 minutes",
  services,
  steps: [
    { run: 'echo "{ [" /* no */', tiemout: "5s" },
    ...["x"].map((run) => ({ run, workdir: "" })),
  ],
  "tasks": [{ name: "a", slots: 0 }, "a", { needs: ["c"], name: "b" }],
}));`;
    const job = {
      name: "Bad 1",
      env: { port: "1" },
      timeout: "5 minutes",
      services: { redis: { image: "redis:7", helth: 1 } },
      steps: [
        { run: "x", tiemout: "5s" },
        { run: "x", workdir: "" },
      ],
      tasks: [{ name: "a", slots: 0 }, "a", { name: "b", needs: ["c"] }],
    };
    expect(check(source, job)).toEqual([
      "5:9 name",
      "5:35 env.port",
      "5:57 timeout",
      "6:3 services.redis.helth",
      "6:3 services",
      "7:10 steps[1].workdir",
      "8:35 steps[0].tiemout",
      "11:33 tasks[0].slots",
      "11:38 tasks[1]",
      "11:53 tasks[2].needs[0]",
    ]);
  });

  it("takes what is undefined for absent and tells everything that is no data", () => {
    const source = "export default { name: 'x', env, steps: [{ run: f }], tasks: g() };";
    const env = { AA: undefined, BB: new Date(), CC: Number.NaN, DD: () => 1, EE: 1n };
    const step: Record<string, unknown> = { run: Promise.resolve("x") };
    step.env = step;
    const found = check(source, { name: "x", env, steps: [step], tasks: ["a"] });
    expect(found.map((text) => text.slice(0, 30))).toEqual([
      "1:29 env.BB",
      "1:29 env.CC",
      "1:29 env.DD",
      "1:29 env.EE",
      "1:42 steps[0].env.env.env.env.",
      "1:42 steps[0].env.env.env.env.",
      "1:49 steps[0].run",
    ]);
  });

  it("tells an error of the code at its place in the file, in words that no terminal acts on", () => {
    const url = "file:///jobs/job.ts";
    const stack = `Error: no\n    at helper (file:///jobs/other.ts:9:9)\n    at Object.default (${url}:2:5)\n`;
    expect(findErrorPlace(stack, url)).toEqual({ line: 2, column: 5 });
    const syntax = `${url}:3\nconst a = 1;\nconst b = ;\n          ^\nSyntaxError: no`;
    expect(findErrorPlace(syntax, url)).toEqual({ line: 3, column: 11 });
    expect(findErrorPlace("nonsense", url)).toEqual({});
    const parsed = parseCodeJob("one\ntwo()", "job.ts", {
      ok: false,
      message: "\u001b[31mred\nnext",
      line: 2,
      column: 4,
    });
    expect(parsed).toMatchObject({
      ok: false,
      problems: [{ line: 2, column: 4, code: "code_failed", message: "·[31mred\nnext" }],
    });
  });

  it("finds a place inside any source, whatever it is", () => {
    const pieces = [
      ..."{}[]():,;.`'\"/\\ \n?=>$",
      "...",
      "name",
      "steps",
      "tasks: ",
      "//",
      "/*",
      "*/",
      "export default ",
      "${",
    ];
    const source = fc.array(fc.constantFrom(...pieces), { maxLength: 80 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(source, fc.string({ unit: "binary" })), fc.constantFrom("key", "value"), (text, part) => {
        const code = readCodeSource(text);
        const places = [[], ["name"], ["steps", 0, "run"], ["tasks", 1]].map((path) => code.locate(path, part));
        expect(places.filter((at) => !(at >= 0 && at <= text.length))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("reads anything repeated in time that does not grow with its square", () => {
    for (const piece of ["/*", '"', '"\\', "`", "/[", "=/", "{", "[", "a:", "...", "'\n"]) {
      expect(readCodeSource(piece.repeat(131_072 / piece.length)).locate(["name"], "key")).toBeGreaterThanOrEqual(0);
    }
  });
});
