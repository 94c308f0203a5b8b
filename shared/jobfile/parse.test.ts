import { describe, expect, it } from "vitest";
import { parseJobFile } from "./parse.ts";
import { maxProblems, type Problem } from "./problem.ts";

function findProblems(source: string, isRendered = false): Problem[] {
  const parsed = parseJobFile(source, { fileName: "job.yaml", isRendered });
  return parsed.ok ? [] : parsed.problems;
}

/** Each problem as `line:column path code`. */
function locate(source: string): string[] {
  return findProblems(source).map(({ line, column, path, code }) => `${line}:${column} ${path} ${code}`);
}

function messageOf(source: string): string {
  const problems = findProblems(source);
  expect(problems).toHaveLength(1);
  return problems[0]?.message ?? "";
}

function parse(source: string) {
  const parsed = parseJobFile(source, { fileName: "job.yaml" });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join("; "));
  return parsed.job;
}

const steps = "steps: [{ run: echo }]";
const minimal = `name: hello\n${steps}\ntasks: [unit]\n`;

describe("parseJobFile", () => {
  it("fills in every default of a minimal job", () => {
    expect(parse(minimal)).toEqual({
      version: "1",
      name: "hello",
      pool: "default",
      services: {},
      env: {},
      secrets: {},
      abort: "never",
      steps: [{ run: "echo", env: {} }],
      tasks: [{ name: "unit", slots: 1, env: {} }],
      artifacts: { paths: ["**"] },
    });
  });

  it("reads everything that a job file can say in this version", () => {
    const source = `version: "1"
name: integration
pool: big
env: { LOG_LEVEL: debug }
secrets: { DB_PASSWORD: prod/db-password }
registry_auth: ci/registries
timeout: 30m
abort: on-failure
steps:
  - dockerfile: ./Dockerfile
    context: .
    options: ["--build-arg", "X=1"]
  - image: node:24
    run: npm test
  - image: registry.example.com:5000/team/tool@sha256:${"0".repeat(64)}
    command: [tool, --fast]
  - run: ./smoke.sh
    name: smoke
    env: { A_B: c }
    timeout: 10m
    workdir: /sluice
tasks:
  - unit
  - { name: heavy, slots: 8, timeout: 2h, env: {SHARD: "1"} }
artifacts: { paths: ["logs/**"], retention: 30d }
`;
    const job = parse(source);
    expect(job.steps.map((step) => Object.keys(step).sort())).toEqual([
      ["context", "dockerfile", "env", "options"],
      ["env", "image", "run"],
      ["command", "env", "image"],
      ["env", "name", "run", "timeout", "workdir"],
    ]);
    expect(job.tasks[1]).toEqual({ name: "heavy", slots: 8, timeout: "2h", env: { SHARD: "1" } });
    expect(job.artifacts).toEqual({ paths: ["logs/**"], retention: "30d" });
  });

  it("takes plain values as the text they are written as", () => {
    const job = parse(`version: 1
name: hello
env: { PORT: 8080, SHARD: 01, RATIO: 1.10, FLAG: true, NO: no, QUOTED: "x" }
steps: [{ run: true }, { command: [sleep, 5] }]
tasks: [1, 002]
`);
    expect(job.env).toEqual({ PORT: "8080", SHARD: "01", RATIO: "1.10", FLAG: "true", NO: "no", QUOTED: "x" });
    expect(job.steps.map(({ run, command }) => run ?? command)).toEqual(["true", ["sleep", "5"]]);
    expect(job.tasks.map(({ name }) => name)).toEqual(["1", "002"]);
  });

  it("follows anchors, aliases and merge keys", () => {
    const job = parse(`name: hello
env: &common { AA: 1, BB: 2 }
steps:
  - run: one
    env: { <<: *common, BB: 3 }
  - run: two
    env: *common
tasks: [unit]
`);
    expect(job.steps.map(({ env }) => env)).toEqual([
      { AA: "1", BB: "3" },
      { AA: "1", BB: "2" },
    ]);
  });

  it("ignores a byte order mark, also in columns, and Windows line ends", () => {
    expect(parse(`\uFEFF${minimal.replaceAll("\n", "\r\n")}`).name).toBe("hello");
    expect(locate(`\uFEFFname: Hello\r\n${steps}\r\ntasks: [A]`)).toEqual([
      "1:7 name invalid_value",
      "3:9 tasks[0] invalid_value",
    ]);
  });

  it("reports every problem at once, each at its place", () => {
    const source = `name: Hello
pool:
abort: on-failures
timeout: 5 minutes
env: { lower: x, EMPTY: , SLUICE_TASK: x }
steps:
  - imgae: busybox
  - image: a b
    dockerfile: ./Dockerfile
    run: one
    command: [two]
    workdir: rel
  - name: nothing
    context: .
  - just text
tasks:
  - one
  - { name: one, slots: 0 }
  - { slots: two }
  - [a]
tasks: [x]
artifacts: { paths: [../x, /etc], retention: soon, exclude: [ok, "!x"] }
`;
    expect(locate(source)).toEqual([
      "1:7 name invalid_value",
      "2:1 pool wrong_type",
      "3:8 abort invalid_value",
      "4:10 timeout invalid_value",
      "5:8 env.lower invalid_value",
      "5:18 env.EMPTY wrong_type",
      "5:27 env.SLUICE_TASK invalid_value",
      "7:5 steps[0].imgae unknown_key",
      "8:12 steps[1].image invalid_value",
      "9:5 steps[1].dockerfile conflicting_keys",
      "11:5 steps[1].command conflicting_keys",
      "12:14 steps[1].workdir invalid_value",
      "13:5 steps[2] missing_key",
      "14:5 steps[2].context conflicting_keys",
      "15:5 steps[3] wrong_type",
      "18:13 tasks[1].name duplicate_task",
      "18:25 tasks[1].slots out_of_range",
      "19:5 tasks[2].name missing_key",
      "19:14 tasks[2].slots wrong_type",
      "20:5 tasks[3] wrong_type",
      "21:1 tasks duplicate_key",
      "22:22 artifacts.paths[0] invalid_value",
      "22:28 artifacts.paths[1] invalid_value",
      "22:46 artifacts.retention invalid_value",
      "22:66 artifacts.exclude[1] invalid_value",
    ]);
  });

  it("names the nearest known key, and the known ones where none is near", () => {
    expect(messageOf(`name: hello\nsteps: [{ imgae: x }]\ntasks: [a]`)).toBe(
      "unknown key 'imgae' in steps[0]; did you mean 'image'?",
    );
    expect(messageOf(`${minimal}script: x`)).toBe(
      "unknown key 'script'; known keys are version, name, pool, env, secrets, registry_auth, timeout, retry, abort, services, steps, tasks, resources, artifacts",
    );
    expect(messageOf(`name: hello\n${steps}\ntasks: [{ name: a, slot: 2 }]`)).toContain("did you mean 'slots'?");
    expect(messageOf(`name: hello\n${steps}\ntasks: [{ nam: a }]`)).toContain("did you mean 'name'?");
    expect(messageOf(`${minimal}artifacts: { path: [x] }`)).toContain("did you mean 'paths'?");
  });

  it("points to both places of a repeated task name and of a repeated key", () => {
    const [task] = findProblems(`name: hello\n${steps}\ntasks:\n  - unit\n  - { name: unit }\n`);
    expect(task).toMatchObject({ line: 5, column: 13, related: { line: 4, column: 5, message: "first defined here" } });
    const [key] = findProblems(`${minimal}pool: a\npool: b\n`);
    expect(key).toMatchObject({ line: 5, column: 1, related: { line: 4, column: 1, message: "first written here" } });
  });

  it.each([
    [
      "an unknown task",
      "[unit, { name: all, needs: [unti] }]",
      "3:36 tasks[1].needs[0] unknown_need",
      "there is no task 'unti'; did you mean 'unit'?",
    ],
    [
      "itself",
      "[{ name: a, needs: [a] }]",
      "3:28 tasks[0].needs[0] circular_needs",
      "task 'a' needs itself; remove it",
    ],
    [
      "one task twice",
      "[a, { name: b, needs: [a, a] }]",
      "3:34 tasks[1].needs[1] invalid_value",
      "'a' is listed already; remove it",
    ],
    [
      "what needs it",
      "[x, { name: a, needs: [x, b] }, { name: b, needs: [c] }, { name: c, needs: [a] }]",
      "3:34 tasks[1].needs[1] circular_needs",
      "these tasks need each other, so none of them could ever start: a → b → c → a",
    ],
  ])("points to the need of a task that needs %s", (_, tasks, place, message) => {
    const text = `name: hello\n${steps}\ntasks: ${tasks}`;
    expect(locate(text)).toEqual([place]);
    expect(messageOf(text)).toBe(message);
  });

  it.each([
    ["retry: { attempts: 11 }", "4:20 retry.attempts out_of_range", "must be at most 10"],
    ["retry: {}", "4:8 retry.attempts missing_key", "attempts is missing"],
    [
      "retry: { attempts: 2, on: [exit_code, exit-code] }",
      "4:39 retry.on[1] invalid_value",
      "must be one of exit_code, failures, timed_out, out_of_memory, service_unhealthy, secret_missing, not 'exit-code'; did you mean 'exit_code'?",
    ],
  ])("points to what is wrong with '%s'", (line, place, message) => {
    expect(locate(minimal + line)).toEqual([place]);
    expect(messageOf(minimal + line)).toBe(message);
  });

  it("lists a circle of many tasks only in part", () => {
    const tasks = Array.from({ length: 40 }, (_, index) => `{ name: t${index}, needs: [t${(index + 1) % 40}] }`);
    expect(messageOf(`name: hello\n${steps}\ntasks: [${tasks.join(", ")}]`)).toMatch(/t10 → t11 → … 28 more … → t0$/);
  });

  it("takes tasks that need others, in any order", () => {
    expect(locate(`name: hello\n${steps}\ntasks: [{ name: c, needs: [a, b] }, a, { name: b, needs: [a] }]`)).toEqual(
      [],
    );
  });

  it("says what is wrong with services, each at its place", () => {
    const wrong = `name: hello
steps: [{ image: busybox, run: "true" }]
tasks: [unit]
services:
  Redis: { image: redis }
  localhost: { image: redis }
  "127": { image: redis }
  a: { image: redis, tmpfs: ["data", "/data:size=lots", "/ok:size=64m,mode=1777", "//sys:ro", "/a/..", "/dev/shm:size=1g"], env: { SLUICE_TASK: x } }
  b: { image: redis, health: { interval: 1s } }
  c: { image: redis, health: { tcp: 1, log: up } }
  d: { image: redis, health: { tpc: 1 } }
  e: { image: redis, health: { http: ":70000/" } }
  f: { command: [x] }
`;
    expect(locate(wrong)).toEqual([
      "5:3 services.Redis invalid_value",
      "6:3 services.localhost invalid_value",
      '7:3 services["127"] invalid_value',
      "8:30 services.a.tmpfs[0] invalid_value",
      "8:38 services.a.tmpfs[1] invalid_value",
      "8:83 services.a.tmpfs[3] invalid_value",
      "8:95 services.a.tmpfs[4] invalid_value",
      "8:132 services.a.env.SLUICE_TASK invalid_value",
      "9:22 services.b.health missing_key",
      "10:40 services.c.health.log conflicting_keys",
      "11:32 services.d.health.tpc unknown_key",
      "12:38 services.e.health.http invalid_value",
      "13:6 services.f.image missing_key",
    ]);
  });

  it("refuses services that no step could reach", () => {
    const onHost = `name: hello\nsteps: [{ run: "true" }]\ntasks: [unit]\nservices: { redis: { image: redis } }`;
    expect(messageOf(onHost)).toBe(
      "services are reached by name from steps in containers; give a step an image or remove the services",
    );
  });

  it("says what is wrong with resources, and that host processes have none", () => {
    const inContainer = `name: hello\nsteps: [{ image: busybox, run: "true" }]\ntasks: [unit]\n`;
    expect(parse(`${inContainer}resources: { cpus: 0.5, memory: 512m, pids: 100 }`).resources).toEqual({
      cpus: 0.5,
      memory: "512m",
      pids: 100,
    });
    expect(locate(`${inContainer}resources: { cpus: 0, memory: 4gb, pids: 1.5, disk: 1g }`)).toEqual([
      "4:20 resources.cpus out_of_range",
      "4:31 resources.memory invalid_value",
      "4:42 resources.pids wrong_type",
      "4:47 resources.disk unknown_key",
    ]);
    expect(messageOf(`${inContainer}resources: { memory: 4m }`)).toContain("is too little for a container");
    expect(messageOf(`${inContainer}resources: { memory: 999999999999t }`)).toContain("at most 64t");
    expect(messageOf(`${minimal}resources: { cpus: 2 }`)).toContain("are enforced on containers, not on processes");
  });

  it.each([
    ["a climbing secret", `${minimal}secrets: { AA: ../etc/passwd }`, "4:16 secrets.AA invalid_value"],
    ["a secret by an absolute path", `${minimal}secrets: { AA: /etc/passwd }`, "4:16 secrets.AA invalid_value"],
    ["a secret in env too", `${minimal}env: { AA: x }\nsecrets: { AA: y }`, "5:12 secrets.AA conflicting_keys"],
    ["a secret for our own", `${minimal}secrets: { SLUICE_JOB: y }`, "4:12 secrets.SLUICE_JOB invalid_value"],
    ["no task", `name: hello\n${steps}\ntasks: []`, "3:8 tasks out_of_range"],
    ["tasks missing", `name: hello\n${steps}\n`, "1:1 tasks missing_key"],
    ["no step", "name: hello\nsteps: []\ntasks: [a]", "2:8 steps out_of_range"],
    ["another version", `version: 2\n${minimal}`, "1:10 version invalid_value"],
    ["a list", "- a", "1:1  wrong_type"],
    ["one word", "hello", "1:1  wrong_type"],
    ["too many slots", `name: hello\n${steps}\ntasks: [{ name: a, slots: 1025 }]`, "3:27 tasks[0].slots out_of_range"],
    ["half a slot", `name: hello\n${steps}\ntasks: [{ name: a, slots: 1.5 }]`, "3:27 tasks[0].slots wrong_type"],
    ["no time at all", `${minimal}timeout: 0s`, "4:10 timeout invalid_value"],
    ["a time no timer holds", `${minimal}timeout: 25d`, "4:10 timeout invalid_value"],
    ["a NUL", `name: hello\nsteps: [{ run: "a\\0" }]\ntasks: [a]`, "2:16 steps[0].run invalid_value"],
    ["an empty run", `name: hello\nsteps: [{ run: "" }]\ntasks: [a]`, "2:16 steps[0].run out_of_range"],
    ["an empty program", `name: hello\nsteps: [{ command: [""] }]\ntasks: [a]`, "2:20 steps[0].command invalid_value"],
    ["a key that is a list", `${minimal}[a]: b`, "4:1  wrong_type"],
    ["a key __proto__", `${minimal}env: { __proto__: x }`, "4:8 env invalid_value"],
  ])("refuses %s", (_, source, problem) => {
    expect(locate(source)).toEqual([problem]);
  });

  it("takes numbers in quotes, and parts after whose key nothing stands for absent ones", () => {
    const source = `name: hello
env:
secrets:
services:
  redis: { image: redis, env: , tmpfs: , health: }
steps: [{ image: busybox, run: echo, env: }]
tasks: [{ name: unit, slots: "2", needs: , env: }]
retry: { attempts: "3" }
`;
    expect(parse(source)).toMatchObject({
      env: {},
      services: { redis: { env: {}, tmpfs: [] } },
      tasks: [{ name: "unit", slots: 2, env: {} }],
      retry: { attempts: 3 },
    });
    expect(locate(`name: hello\n${steps}\ntasks:\n`)).toEqual(["3:1 tasks wrong_type"]);
    expect(locate(`${minimal}env: { AA: }`)).toEqual(["4:8 env.AA wrong_type"]);
  });

  it("shows how a duration is written", () => {
    expect(messageOf(`${minimal}timeout: 5 minutes`)).toBe(
      "'5 minutes' is not a duration; write numbers with their units, such as 500ms, 10s, 1m30s, 2h or 30d",
    );
  });

  it("takes 10,000 tasks and not one more", () => {
    const list = (count: number) => Array.from({ length: count }, (_, index) => `- t${index}`).join("\n");
    expect(parse(`name: hello\n${steps}\ntasks:\n${list(10_000)}`).tasks).toHaveLength(10_000);
    expect(messageOf(`name: hello\n${steps}\ntasks:\n${list(10_001)}`)).toBe(
      "has 10001 items; at most 10000 are allowed",
    );
  });

  it("refuses a file of 300 KB, but takes as much from templates", () => {
    const source = `${minimal}# ${"x".repeat(300_000)}`;
    expect(messageOf(source)).toContain("has 300051 bytes; at most 262144 are allowed");
    expect(findProblems(source, true)).toEqual([]);
  });

  it("refuses a job that does not fit into one item of the table", () => {
    const env = `env: &e { ${["AA", "BB"].map((name) => `${name}: ${"x".repeat(60_000)}`).join(", ")} }`;
    const source = `name: hello\n${env}\nsteps: [{ run: a, env: *e }, { run: b, env: *e }]\ntasks: [a]`;
    expect(locate(source)).toEqual(["3:1 steps too_large"]);
  });

  it("finds each task that is larger than one may be", () => {
    const value = (letter: string) => letter.repeat(90_000);
    const large = `env: { DATA: ${value("x")}, MORE: &more ${value("y")} }`;
    const again = `env: { DATA: *more, MORE: *more }`;
    const tasks = `tasks:\n  - { name: a, ${large} }\n  - b\n  - { name: c, ${again} }\n`;
    const source = `name: hello\nsteps: [{ run: "true" }]\n${tasks}`;
    expect(locate(source)).toEqual(["4:5 tasks[0] too_large", "6:5 tasks[2] too_large"]);
  });

  it(`lists at most ${maxProblems} problems and says how many more there are`, () => {
    const problems = findProblems(`name: hello\n${steps}\ntasks:\n${"- BAD\n".repeat(300)}`);
    expect(problems).toHaveLength(maxProblems);
    expect(problems.at(-1)?.message).toContain("(and 499 more problems)");
  });

  it("says which text the positions refer to where templates have changed it", () => {
    const [problem] = findProblems(`name: Hello\n${steps}\ntasks: [a]`, true);
    expect(problem?.file).toBe("job.yaml (rendered)");
    expect(problem?.excerpt).toEqual({ text: "name: Hello", caret: 6 });
  });
});

describe("parseJobFile on broken YAML", () => {
  it.each([
    ["a tab", "name: hello\nsteps:\n\t- run: x\n", "3:1", "tabs cannot indent YAML"],
    ["an open quote", 'name: "hello\nsteps: []\n', "1:7", "not closed"],
    ["an open bracket", "name: hello\nsteps: [{ run: x }\ntasks: [a]", "3:1", "missing ]"],
    ["an unquoted colon", "name: hello\nsteps:\n  - run: echo a: b\n", "3:10", "in quotes"],
    ["a missing space", `name:hello\n${steps}`, "1:1", "a space may be missing"],
    ["a bad indentation", "name: hello\nsteps:\n  - run: x\n   image: y\n", "4:1", "indented"],
    ["a reserved character", `name: @hello\n${steps}`, "1:7", "put it in quotes"],
    ["an unquoted star", "name: hello\nsteps:\n  - run: *.js\n", "3:10", "in quotes"],
    ["an unknown tag", "name: hello\nsteps:\n  - run: !x y\n", "3:10", "in quotes"],
    ["a second document", `${minimal}---\nname: b`, "4:1", "one document"],
    ["nothing", "", "1:1", "is empty"],
    ["only comments", "# name: hello\n", "1:1", "is empty"],
  ])("explains %s", (_, source, place, part) => {
    const [problem] = findProblems(source);
    expect(`${problem?.line}:${problem?.column}`).toBe(place);
    expect(problem?.code).toBe("yaml_syntax");
    expect(problem?.message).toContain(part);
  });

  it("gives as many syntax problems as the parser finds", () => {
    expect(locate("name: @a\npool: @b\ntasks: [x]\n")).toEqual(["1:7  yaml_syntax", "2:7  yaml_syntax"]);
  });

  it.each(["[", "{", "- ", "? ", "[{"])("bounds the nesting of '%s'", (opening) => {
    expect(findProblems(opening.repeat(100_000)).map(({ code }) => code)).toEqual(["nested_too_deep"]);
  });

  it("refuses aliases that multiply", () => {
    const lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
    for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg", "gh"]) {
      lines.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(",")}]`);
    }
    expect(findProblems(lines.join("\n")).map(({ code }) => code)).toEqual(["too_many_aliases"]);
  });

  it.each(["name: &a [*a]", "a: &a { <<: *a }", `a: &a { <<: [${Array(30_000).fill("*a").join(",")}] }`])(
    "refuses aliases that hold themselves",
    (source) => {
      expect(findProblems(source).map(({ code }) => code)).toEqual(["too_many_aliases"]);
    },
  );
});
