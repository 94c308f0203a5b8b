import { describeGraphProblems, type NeedProblem } from "./graph-problems.ts";
import type { Path, ProblemCode } from "./problem.ts";
import { formatPath } from "./problem.ts";
import { toTaskSpec } from "./resolve.ts";
import {
  explainUnenforcedResources,
  explainUnreachableServices,
  findRepeats,
  healthChecks,
  jobRules,
  reservedEnvNames,
} from "./rules.ts";
import { type JobDocument, jobSchema, mayBeEmpty } from "./schema.ts";
import { describeSchemaIssues, type JobIssue, valueAt } from "./schema-issues.ts";

/** A valid job, or everything that is wrong with it. */
export type JobValidation = { ok: true; job: JobDocument } | { ok: false; issues: JobIssue[] };

/** Checks a job as plain data (from YAML or from code): the schema, and what no single value can show. */
export function validateJob(given: unknown): JobValidation {
  const value = withoutEmptyParts(given);
  const parsed = jobSchema.safeParse(value);
  const schemaIssues = parsed.success ? [] : describeSchemaIssues(parsed.error.issues, jobSchema, value);
  const issues = [...schemaIssues, ...checkJob(value, schemaIssues)];
  if (!parsed.success || issues.length > 0) return { ok: false, issues };
  const sizeIssues = checkSize(parsed.data);
  return sizeIssues.length > 0 ? { ok: false, issues: sizeIssues } : { ok: true, job: parsed.data };
}

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function issueAt(path: Path, part: "key" | "value", code: ProblemCode, message: string): JobIssue {
  return { path, part, message, code };
}

function withoutEmptyParts(job: unknown): unknown {
  const paths = mayBeEmpty.flatMap((parts) => expandPattern(job, parts));
  const emptyPaths = paths.filter((path) => valueAt(job, path) === null);
  if (emptyPaths.length === 0) return job;
  const copy = structuredClone(job);
  for (const path of emptyPaths) {
    const holder = valueAt(copy, path.slice(0, -1));
    if (isFields(holder)) delete holder[String(path.at(-1))];
  }
  return copy;
}

/** Paths in a value that match the parts of a pattern. */
function expandPattern(value: unknown, parts: readonly string[]): (string | number)[][] {
  const [part, ...rest] = parts;
  if (part === undefined) return [[]];
  if (part === "[]") {
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, index) => expandPattern(item, rest).map((path) => [index, ...path]));
  }
  if (!isFields(value)) return [];
  const keys = part === "*" ? Object.keys(value) : [part].filter((key) => Object.hasOwn(value, key));
  return keys.flatMap((key) => expandPattern(value[key], rest).map((path) => [key, ...path]));
}

function checkJob(job: unknown, schemaIssues: readonly JobIssue[]): JobIssue[] {
  if (!isFields(job)) return [];
  const steps = Array.isArray(job.steps) ? job.steps : [];
  const tasks = Array.isArray(job.tasks) ? job.tasks : [];
  // A misspelt key may be the one that is missed: one problem, not two.
  const misspelt = new Set(
    schemaIssues.flatMap(({ path, code }) => (path[0] === "steps" && code === "unknown_key" ? [path[1]] : [])),
  );
  return [
    ...checkEnv(job, []),
    ...checkSecrets(job),
    ...steps.flatMap((step: unknown, index) => {
      const path = ["steps", index];
      return isFields(step) ? [...checkStep(step, path, misspelt.has(index)), ...checkEnv(step, path)] : [];
    }),
    ...tasks.flatMap((task: unknown, index) => (isFields(task) ? checkEnv(task, ["tasks", index]) : [])),
    ...checkTaskNames(tasks),
    ...checkNeeds(tasks),
    ...checkServices(job, steps, schemaIssues),
    ...checkResources(job, steps),
  ];
}

function checkServices(job: Fields, steps: readonly unknown[], schemaIssues: readonly JobIssue[]): JobIssue[] {
  const { services } = job;
  if (!isFields(services)) return [];
  const misspelt = new Set(
    schemaIssues.flatMap(({ path, code }) => (code === "unknown_key" ? [formatPath(path.slice(0, -1))] : [])),
  );
  const entries = Object.entries(services);
  const issues = entries.flatMap(([name, service]) => {
    const path = ["services", name];
    if (!isFields(service)) return [];
    return [...checkHealth(service.health, [...path, "health"], misspelt), ...checkEnv(service, path)];
  });
  if (entries.length > jobRules.services) {
    issues.push(issueAt(["services"], "key", "out_of_range", `has more than ${jobRules.services} services`));
  }
  const unreachable = explainUnreachableServices(entries.length, mayHaveContainerStep(steps));
  if (unreachable !== undefined) issues.push(issueAt(["services"], "key", "conflicting_keys", unreachable));
  return issues;
}

function checkResources(job: Fields, steps: readonly unknown[]): JobIssue[] {
  const unenforced = explainUnenforcedResources(isFields(job.resources), mayHaveContainerStep(steps));
  return unenforced === undefined ? [] : [issueAt(["resources"], "key", "conflicting_keys", unenforced)];
}

/** Steps that are wrong themselves, and might have been containers, are told of elsewhere. */
function mayHaveContainerStep(steps: readonly unknown[]): boolean {
  if (steps.length === 0 || !steps.every(isFields)) return true;
  return steps.some((step) => Object.hasOwn(step, "image") || Object.hasOwn(step, "dockerfile"));
}

function checkHealth(health: unknown, path: Path, misspelt: ReadonlySet<string>): JobIssue[] {
  if (!isFields(health)) return [];
  const [first, ...others] = healthChecks.filter((check) => Object.hasOwn(health, check));
  if (first === undefined) {
    if (misspelt.has(formatPath(path))) return [];
    const message = `says not how to check; give it one of ${healthChecks.join(", ")}`;
    return [issueAt(path, "key", "missing_key", message)];
  }
  return others.map((other) =>
    issueAt([...path, other], "key", "conflicting_keys", `${first} and ${other} exclude each other; keep one of them`),
  );
}

function checkStep(step: Fields, path: Path, isMisspelt: boolean): JobIssue[] {
  const has = (key: string) => Object.hasOwn(step, key);
  const at = (key: string, message: string) => issueAt([...path, key], "key", "conflicting_keys", message);
  const issues: JobIssue[] = [];
  if (has("image") && has("dockerfile")) {
    issues.push(
      at(
        "dockerfile",
        "image and dockerfile exclude each other; keep image to pull an image or dockerfile to build one",
      ),
    );
  }
  if (has("run") && has("command")) {
    issues.push(
      at(
        "command",
        "run and command exclude each other; keep run for a shell or command for a program and its arguments",
      ),
    );
  }
  const isEmpty = !["image", "dockerfile", "run", "command"].some(has);
  if (isEmpty && !isMisspelt) {
    const message = "the step does nothing; give it an image, a dockerfile, or run for a command on the worker itself";
    issues.push(issueAt(path, "value", "missing_key", message));
  }
  for (const key of ["context", "options"]) {
    if (!has(key) || has("dockerfile") || isMisspelt) continue;
    issues.push(at(key, `${key} is only for steps with a dockerfile; add dockerfile or remove ${key}`));
  }
  const { workdir } = step;
  const isContainer = has("image") || has("dockerfile");
  if (isContainer && typeof workdir === "string" && workdir !== "" && !workdir.startsWith("/")) {
    const message = "the workdir of a step in a container must be an absolute path, such as /sluice";
    issues.push(issueAt([...path, "workdir"], "value", "invalid_value", message));
  }
  return issues;
}

function checkEnv(holder: Fields, path: Path): JobIssue[] {
  const { env } = holder;
  if (!isFields(env)) return [];
  const names = Object.keys(env);
  const issues = names
    .filter((name) => reservedEnvNames.includes(name))
    .map((name) =>
      issueAt([...path, "env", name], "key", "invalid_value", `${name} is set by Sluice itself; choose another name`),
    );
  if (names.length > jobRules.envNames) {
    issues.push(issueAt([...path, "env"], "key", "out_of_range", `has more than ${jobRules.envNames} variables`));
  }
  return issues;
}

const needCodes: Record<NeedProblem["kind"], ProblemCode> = {
  unknown: "unknown_need",
  self: "circular_needs",
  repeated: "invalid_value",
  cycle: "circular_needs",
};

function checkNeeds(tasks: readonly unknown[]): JobIssue[] {
  const asText = (value: unknown) => (typeof value === "string" ? value : undefined);
  const graph = tasks.map((task) => {
    if (!isFields(task)) return { name: asText(task), needs: [] };
    return { name: asText(task.name), needs: Array.isArray(task.needs) ? task.needs.map(asText) : [] };
  });
  return describeGraphProblems(graph).map(({ taskIndex, needIndex, kind, message }) =>
    issueAt(["tasks", taskIndex, "needs", needIndex], "value", needCodes[kind], message),
  );
}

function checkSecrets({ env, secrets }: Fields): JobIssue[] {
  if (!isFields(secrets)) return [];
  const names = Object.keys(secrets);
  const issues = names.flatMap((name) => {
    const at = (code: ProblemCode, message: string) => issueAt(["secrets", name], "key", code, message);
    if (reservedEnvNames.includes(name)) {
      return [at("invalid_value", `${name} is set by Sluice itself; choose another name`)];
    }
    if (!isFields(env) || !Object.hasOwn(env, name)) return [];
    return [at("conflicting_keys", `${name} is set by env too; a variable is one or the other`)];
  });
  if (names.length > jobRules.secretsPerJob) {
    issues.push(issueAt(["secrets"], "key", "out_of_range", `has more than ${jobRules.secretsPerJob} secrets`));
  }
  return issues;
}

function checkTaskNames(tasks: readonly unknown[]): JobIssue[] {
  const names = tasks.map((task) => {
    const name = isFields(task) ? task.name : task;
    return typeof name === "string" ? name : undefined;
  });
  const pathOf = (index: number): Path => (isFields(tasks[index]) ? ["tasks", index, "name"] : ["tasks", index]);
  return findRepeats(names).map(({ index, firstIndex }) => ({
    ...issueAt(
      pathOf(index),
      "value",
      "duplicate_task",
      `task '${names[index]}' is already defined by tasks[${firstIndex}]; names must be unique`,
    ),
    related: { path: pathOf(firstIndex), message: "first defined here" },
  }));
}

/** Aliases and templates can make a job larger than its file; one table item and one request bound it. */
function checkSize(job: JobDocument): JobIssue[] {
  const bytes = Buffer.byteLength(JSON.stringify({ ...job, tasks: [] }));
  if (bytes > jobRules.specBytes) {
    const message = `steps and env take ${bytes} bytes; at most ${jobRules.specBytes} are allowed; move long scripts into files`;
    return [issueAt(["steps"], "key", "too_large", message)];
  }
  const sizes = job.tasks.map((task) => Buffer.byteLength(JSON.stringify(toTaskSpec(task))));
  const issues = sizes.flatMap((taskBytes, index) => {
    if (taskBytes <= jobRules.taskBytes) return [];
    const message = `the task takes ${taskBytes} bytes; at most ${jobRules.taskBytes} are allowed; move what tasks share into the job's env, and data into files`;
    return [issueAt(["tasks", index], "value", "too_large", message)];
  });
  const allBytes = Buffer.byteLength(JSON.stringify(job.tasks));
  if (allBytes <= jobRules.tasksBytes) return issues;
  const message = `the tasks take ${allBytes} bytes; at most ${jobRules.tasksBytes} are allowed; move what they share into the job's env`;
  return [...issues, issueAt(["tasks"], "key", "too_large", message)];
}
