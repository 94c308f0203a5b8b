import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { formatProblems } from "../../shared/jobfile/format-problems.ts";
import { jobSpecSchema } from "../../shared/jobfile/job-spec.ts";
import { type ParsedJobFile, parseJobFile } from "../../shared/jobfile/parse.ts";
import { maxProblems, type Problem } from "../../shared/jobfile/problem.ts";
import { type RenderOptions, renderJobFile } from "../../shared/jobfile/render.ts";
import { listImageBuilds, toJobSpec } from "../../shared/jobfile/resolve.ts";

// fast-check prints the seed and the path of a failing run; `fc.assert(…, { seed, path })` repeats it.

// Thousands of runs on a busy machine; nothing here waits.
vi.setConfig({ testTimeout: 120_000 });

const imageId = `sha256:${"ab".repeat(32)}`;

const validSource = `version: "1"
name: integration
env: &common { LOG_LEVEL: debug, PORT: 8080 }
timeout: 30m
abort: on-error
steps:
  - dockerfile: ./Dockerfile
    options: ["--build-arg", "X=1"]
  - image: node:24
    run: |
      npm ci
      npm test
    env: { <<: *common, LOG_LEVEL: "info" }
  - command: [ls, -l]
tasks:
  - unit
  - { name: heavy, slots: "8", timeout: 1h30m, env: {SHARD: "1"}, needs: [unit] }
secrets: { TOKEN: prod/token }
registry_auth: ci/registries
retry: { attempts: 2, on: [exit_code, timed_out] }
services:
  redis: { image: redis:7, command: [redis-server], tmpfs: ["/data:size=64m"], env: , health: { cmd: [redis-cli, ping] } }
  web: { image: "web:1", env: { A1: x }, health: { http: ":8080/ready", timeout: 5s, interval: 1s, retries: 10, start_period: 0s } }
resources: { cpus: 1.5, memory: 4g }
artifacts: { paths: ["**"], exclude: ["*.tmp"], retention: 30d }
`;

/** Pieces that mean something to YAML or to the schema; in any order they reach far into the parser. */
const yamlPieces = [
  ..."\n\n\n   -[]{},:&*!|>'\"#%@`?~<\t\r",
  ...[
    "\n  ",
    "\n- ",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "---\n",
    "...\n",
    "!!str ",
    "|\n",
    ">-\n",
    "\\x",
    "\uFEFF",
    "\0",
  ],
  ...["name", "name: hello\n", "steps", "steps:\n", "tasks: [a]\n", "run: x", "image: y", "env: { AA: b }", "slots: 2"],
  ...[
    "dockerfile: z",
    "timeout: 5m",
    "services: { a: { image: b, health: { tcp: 80 } } }",
    "tmpfs: [/a:ro]",
    "resources: { cpus: 1 }",
    "null",
    "needs: [a]",
    "artifacts: {}",
    "__proto__: 1",
    "null",
    "1e9",
    "日本",
  ],
];

const liquidPieces = [
  ...[
    "{{",
    "}}",
    "{%",
    "%}",
    "{{ ",
    " }}",
    "{%- ",
    " -%}",
    "| ",
    "'",
    '"',
    "[",
    "]",
    "(",
    ")",
    "..",
    ".",
    ":",
    ", ",
    " ",
  ],
  ...[
    "{% if params.x %}",
    "{% else %}",
    "{% endif %}",
    "{% for i in (1..9) %}",
    "{% endfor %}",
    "{% raw %}",
    "{% endraw %}",
  ],
  ...[
    "{% assign a = ",
    "{{ params.x }}",
    "{{ params.none }}",
    "{{ args[0] }}",
    "{{ args[9] }}",
    "{{ env }}",
    "{{ a }}",
    "a",
  ],
  ...[
    '"cmd" | shell',
    '"cmd" | exec: "x"',
    '"no" | error',
    "| default: 1",
    "| split: ','",
    "| append: a",
    "| json",
    "\n",
  ],
  ...[
    "{% capture a %}",
    "{% endcapture %}",
    "{% case a %}",
    "{% when 1 %}",
    "{% include 'x' %}",
    "{% liquid\n",
    "| date: '%9999d'",
  ],
  ...[
    "(1..99999999)",
    "{% tablerow i in (1..99) %}",
    "{% cycle 1, 2 %}",
    "{% increment a %}",
    "-1",
    "1e99",
    "nil",
    "blank",
  ],
];

function soup(pieces: readonly string[]): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((parts) => parts.join(""));
}

/** A valid file with pieces of it removed, repeated or replaced. */
function mutated(source: string, pieces: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.nat(source.length),
    removed: fc.nat(12),
    added: fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })),
  });
  return fc
    .array(edit, { minLength: 1, maxLength: 5 })
    .map((edits) =>
      edits.reduce((text, { at, removed, added }) => text.slice(0, at) + added + text.slice(at + removed), source),
    );
}

/** Every problem has a place inside the text, says something, and can be printed. */
function expectPlaced(problems: readonly Problem[], source: string): void {
  const lines = source.replace(/^\uFEFF/, "").split("\n");
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.length).toBeLessThanOrEqual(maxProblems);
  for (const problem of problems) {
    for (const place of [problem, ...(problem.related ? [problem.related] : [])]) {
      expect(place.line).toBeGreaterThanOrEqual(1);
      expect(place.line).toBeLessThanOrEqual(lines.length);
      expect(place.column).toBeGreaterThanOrEqual(1);
      expect(place.column).toBeLessThanOrEqual((lines[place.line - 1] ?? "").length + 1);
      expect(place.excerpt.caret).toBeLessThanOrEqual(place.excerpt.text.length);
    }
    expect(problem.message).not.toBe("");
    expect(problem.message).not.toMatch(/undefined|NaN|\[object|Invalid input/);
  }
  expect(formatProblems(problems)).not.toMatch(/[^\n\P{Cc}]/u);
}

/** What can be run must be accepted by the API too. */
function expectAcceptedByApi(parsed: Extract<ParsedJobFile, { ok: true }>): void {
  const images = new Map(
    listImageBuilds(parsed.job).map(({ stepIndex }) => [stepIndex, { imageId, layers: [imageId] }]),
  );
  const spec = toJobSpec(parsed.job, images);
  expect(jobSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
}

function checkSource(source: string): void {
  const parsed = parseJobFile(source, { fileName: "job.yaml" });
  if (parsed.ok) expectAcceptedByApi(parsed);
  else expectPlaced(parsed.problems, source);
}

describe("parseJobFile", () => {
  it("throws nothing and places every problem, whatever the text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), checkSource), { numRuns: 1_000 });
  });

  it("throws nothing and places every problem in soups of YAML", () => {
    fc.assert(fc.property(soup(yamlPieces), checkSource), { numRuns: 1_500 });
  });

  it("throws nothing and places every problem in damaged job files", () => {
    fc.assert(fc.property(mutated(validSource, yamlPieces), checkSource), { numRuns: 700 });
  });

  it("bears any piece repeated to the limit of size", () => {
    const pieces = fc.array(fc.constantFrom(...yamlPieces), { minLength: 1, maxLength: 3 });
    const repeated = fc.tuple(pieces, fc.integer({ min: 1, max: 20_000 }));
    fc.assert(
      fc.property(repeated, ([parts, times]) => checkSource(parts.join("").repeat(times).slice(0, 60_000))),
      { numRuns: 30 },
    );
  });

  it("reads back every job that YAML can write", () => {
    fc.assert(
      fc.property(jobArbitrary, (job) => {
        const parsed = parseJobFile(stringify(job), { fileName: "job.yaml" });
        if (!parsed.ok) throw new Error(formatProblems(parsed.problems));
        expectAcceptedByApi(parsed);
        expect(parsed.job.tasks.map(({ name }) => name)).toEqual(job.tasks.map(({ name }) => name));
        expect(parsed.job.steps.map(({ env, run }) => ({ env, run }))).toEqual(
          job.steps.map(({ env, run }) => ({ env, run })),
        );
      }),
      { numRuns: 300 },
    );
  });
});

const plainText = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 });
const envArbitrary = fc.dictionary(fc.stringMatching(/^[A-Z][A-Z0-9_]{1,8}$/), plainText, {
  maxKeys: 4,
  noNullPrototype: true,
});
const jobArbitrary = fc.record({
  name: fc.stringMatching(/^[a-z][a-z0-9_-]{1,20}$/),
  steps: fc.array(fc.record({ run: plainText, env: envArbitrary }), { minLength: 1, maxLength: 4 }),
  tasks: fc.uniqueArray(
    fc.record({ name: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/), slots: fc.integer({ min: 1, max: 1024 }) }),
    { minLength: 1, maxLength: 20, selector: ({ name }) => name },
  ),
});

const renderOptions: RenderOptions = {
  fileName: "job.yaml",
  env: { HOME: "/home/me" },
  args: ["one"],
  params: { x: "y" },
  runCommand: async () => ({ ok: true, stdout: "printed\n" }),
  limits: { renderMs: 300, allocations: 100_000, outputLength: 10_000 },
};

async function checkTemplate(source: string): Promise<void> {
  const rendered = await renderJobFile(source, renderOptions);
  if (!rendered.ok) return expectPlaced(rendered.problems, source);
  expect(rendered.text.length).toBeLessThanOrEqual(10_000);
  expect(rendered.text).not.toContain("[object Object]");
}

describe("renderJobFile", () => {
  it("throws nothing and places every problem in soups of Liquid", async () => {
    await fc.assert(fc.asyncProperty(soup(liquidPieces), checkTemplate), { numRuns: 1_500 });
  });

  it("throws nothing and places every problem in damaged templates", async () => {
    const source = `${validSource}{% assign ids = "./list.sh" | shell | split: "\n" %}{% for id in ids %}
  - {{ id }}-{{ params.x }}{% if params.y %}-{{ args[0] }}{% endif %}
{% endfor %}`;
    await fc.assert(fc.asyncProperty(mutated(source, liquidPieces), checkTemplate), { numRuns: 1_000 });
  });
});
