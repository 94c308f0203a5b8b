import type { AttemptOutcome } from "../../../shared/domain/manifest.ts";
import type { JobSpecInput } from "../../../shared/jobfile/job-spec.ts";
import { pickBetween, pickWeighted, type Random } from "./random.ts";

/** What a task of a chaos run does, and so how it has to end. */
export interface PlannedTask {
  name: string;
  exitCode: number;
  /** Lines it prints, its greeting not counted. */
  lines: number;
  /** Bytes it leaves as its output; 0 for none. */
  outputBytes: number;
  demanded: Pick<AttemptOutcome, "state" | "exitCode" | "warning">;
  /** Tasks that have to complete before it starts. */
  needs?: readonly string[];
}

/**
 * What else happens to a job than that its tasks run. By a cancel or a timeout its tasks may end instead of by
 * themselves; a task that is retried runs again after the job's end, and so does what was skipped because of it.
 */
export type Ending =
  | { kind: "cancel_job" }
  | { kind: "cancel_task"; task: string }
  | { kind: "job_timeout" }
  | { kind: "retry"; task: string };

/** A job of a chaos run. Submits with the same key are the same job, however often they are repeated. */
export interface PlannedJob {
  key: string;
  spec: JobSpecInput;
  tasks: readonly PlannedTask[];
  ending?: Ending;
}

const outcomes: Record<number, PlannedTask["demanded"]> = {
  0: { state: "completed", exitCode: 0 },
  7: { state: "failed", exitCode: 7, warning: false },
  42: { state: "failed", exitCode: 42, warning: true },
  43: { state: "skipped", exitCode: 43 },
};

/** The first line names the attempt, so that a reader can tell whose log it has. */
export function greetingOf(task: string, attempt: number): string {
  return `attempt ${attempt} of ${task}`;
}

/** Half of the lines come before the nap and half after it, so that a kill finds a log that is half written. */
const work = `
echo "attempt $SLUICE_ATTEMPT of $SLUICE_TASK"
line=1
while [ $line -le $CHAOS_LINES ]; do
  [ $line -eq $((CHAOS_LINES / 2)) ] && sleep $CHAOS_NAP
  echo "line $line"
  line=$((line + 1))
done
[ $CHAOS_LINES -lt 2 ] && sleep $CHAOS_NAP
[ $SLUICE_ATTEMPT -le $CHAOS_FAILS_FIRST ] && exit 7
[ $CHAOS_BYTES -gt 0 ] && head -c $CHAOS_BYTES /dev/urandom > "$SLUICE_OUTPUT/bytes"
exit $CHAOS_CODE
`;

const note = 'echo "$SLUICE_TASK" > "$SLUICE_SHARED/note"';
const checkNote = `[ "$(cat "$SLUICE_SHARED/note")" = "$SLUICE_TASK" ] || exit 9\n`;

/** So often a task may fail by itself where its job has a retry policy; tasks that fail at first fail less often. */
const userTries = 3;

/**
 * Plans a job of tasks of all kinds; with an image, two of three jobs use containers. Every third job is a graph, and
 * every third tries its failures again.
 */
export function planJob(random: Random, index: number, taskCount: number, image: string | undefined): PlannedJob {
  const name = `chaos-${index}`;
  const kind = image === undefined ? "process" : pickWeighted(random, stepKinds);
  const retries = random() < 0.35;
  const tasks = Array.from({ length: taskCount }, (_, position) => planTask(random, `t${position}`, retries));
  if (random() < 0.35) addNeeds(random, tasks);
  const steps: Record<(typeof stepKinds)[number]["item"], () => JobSpecInput["steps"]> = {
    process: () => [{ kind: "process", name: "work", entry: { run: work } }],
    container: () => [{ kind: "container", name: "work", image: image ?? "", entry: { run: work } }],
    both: () => [
      { kind: "container", name: "note", image: image ?? "", entry: { run: note } },
      { kind: "process", name: "work", entry: { run: checkNote + work } },
    ],
  };
  return {
    key: `${name}-${Math.floor(random() * 2 ** 32)}`,
    spec: {
      name,
      steps: steps[kind](),
      tasks: tasks.map(({ spec }) => spec),
      ...(retries ? { retry: { attempts: userTries, on: ["exit_code"] } } : {}),
    },
    tasks: tasks.map(({ planned }) => planned),
  };
}

const stepKinds = [
  { item: "process", weight: 3 },
  { item: "container", weight: 4 },
  { item: "both", weight: 2 },
] as const;

/** Plans how a job ends otherwise than by its tasks, where it does; jobs that time out get their timeout. */
export function planEnding(random: Random, plan: PlannedJob): PlannedJob {
  const kind = pickWeighted(random, endings);
  // What waits for others is skipped again when it is retried alone.
  const choice = kind === "retry" ? plan.tasks.filter(({ needs = [] }) => needs.length === 0) : plan.tasks;
  const task = choice[Math.floor(random() * choice.length)]?.name ?? "";
  const timeoutMs = pickBetween(random, 3_000, 60_000);
  if (kind === undefined) return plan;
  if (kind === "job_timeout") return { ...plan, spec: { ...plan.spec, timeoutMs }, ending: { kind } };
  return { ...plan, ending: kind === "cancel_job" ? { kind } : { kind, task } };
}

const endings = [
  { item: undefined, weight: 16 },
  { item: "cancel_job", weight: 2 },
  { item: "cancel_task", weight: 2 },
  { item: "job_timeout", weight: 1 },
  { item: "retry", weight: 3 },
] as const;

interface TaskPlan {
  planned: PlannedTask;
  spec: JobSpecInput["tasks"][number];
}

/** Lets tasks need up to two of those before them. */
function addNeeds(random: Random, tasks: TaskPlan[]): void {
  for (const [index, { planned, spec }] of tasks.entries()) {
    if (index === 0 || random() < 0.3) continue;
    const names = Array.from({ length: pickBetween(random, 1, 2) }, () => Math.floor(random() * index));
    const needs = [...new Set(names)].flatMap((position) => tasks[position]?.planned.name ?? []);
    planned.needs = needs;
    spec.needs = needs;
  }
}

function planTask(random: Random, name: string, retries: boolean): TaskPlan {
  const exitCode = pickWeighted(random, [
    { item: 0, weight: 7 },
    { item: 7, weight: 1 },
    { item: 42, weight: 1 },
    { item: 43, weight: 1 },
  ]);
  const napMs = pickWeighted(random, [
    { item: pickBetween(random, 0, 300), weight: 3 },
    { item: pickBetween(random, 300, 2_000), weight: 5 },
    { item: pickBetween(random, 2_000, 5_000), weight: 1 },
  ]);
  const lines = random() < 0.4 ? pickBetween(random, 2, 120) : 0;
  const outputBytes = random() < 0.3 ? pickBetween(random, 1, 200_000) : 0;
  const failsFirst = retries && exitCode === 0 && random() < 0.4 ? pickBetween(random, 1, userTries - 1) : 0;
  const env = {
    CHAOS_FAILS_FIRST: `${failsFirst}`,
    CHAOS_CODE: `${exitCode}`,
    CHAOS_NAP: (napMs / 1000).toFixed(2),
    CHAOS_LINES: `${lines}`,
    CHAOS_BYTES: `${outputBytes}`,
  };
  const demanded = outcomes[exitCode];
  if (!demanded) throw new Error(`nobody said how a task ends that exits with ${exitCode}`);
  return {
    planned: { name, exitCode, lines, outputBytes, demanded },
    spec: { name, slots: random() < 0.15 ? 2 : 1, env },
  };
}
