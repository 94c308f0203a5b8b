/** A task as the graph sees it; what is not known (a name or a need that is no text) is undefined. */
export interface GraphTask {
  name: string | undefined;
  needs: readonly (string | undefined)[];
}

/** One thing wrong with a graph: positions of the task and of the need in its list, both from 0. */
export type GraphProblem = { taskIndex: number; needIndex: number } & (
  | { kind: "unknown"; need: string }
  | { kind: "self"; task: string }
  | { kind: "repeated"; need: string; firstIndex: number }
  /** Each task of `circle` needs the next one, the last needs the first. */
  | { kind: "cycle"; circle: string[] }
);

/**
 * Everything that is wrong with the needs of a job's tasks, in the order of the tasks; of each circle one problem.
 * Linear in tasks and needs together, without recursion: a job has 10,000 tasks, in one chain if it likes.
 */
export function findGraphProblems(tasks: readonly GraphTask[]): GraphProblem[] {
  const indexes = new Map<string, number>();
  tasks.forEach(({ name }, index) => {
    if (name !== undefined && !indexes.has(name)) indexes.set(name, index);
  });
  const problems: GraphProblem[] = [];
  const edges: Edge[][] = tasks.map(() => []);
  for (const [taskIndex, { name, needs }] of tasks.entries()) {
    const firstIndexes = new Map<string, number>();
    for (const [needIndex, need] of needs.entries()) {
      if (need === undefined) continue;
      const at = { taskIndex, needIndex };
      const firstIndex = firstIndexes.get(need);
      const target = indexes.get(need);
      if (firstIndex === undefined) firstIndexes.set(need, needIndex);
      if (firstIndex !== undefined) problems.push({ ...at, kind: "repeated", need, firstIndex });
      else if (need === name) problems.push({ ...at, kind: "self", task: name });
      else if (target === undefined) problems.push({ ...at, kind: "unknown", need });
      // A second task of one name is a mistake of its own: its needs must not make a circle with the first's.
      else if (name === undefined || indexes.get(name) === taskIndex) edges[taskIndex]?.push({ needIndex, target });
    }
  }
  problems.push(...findCycles(tasks, edges));
  return problems.sort((a, b) => a.taskIndex - b.taskIndex || a.needIndex - b.needIndex);
}

/** A need of a task: its position in the task's list and the index of the task it names. */
interface Edge {
  needIndex: number;
  target: number;
}

function findCycles(tasks: readonly GraphTask[], edges: readonly (readonly Edge[])[]): GraphProblem[] {
  const blocked = findBlocked(edges);
  // Every blocked task has a blocked need: who follows the first one from task to task ends up in a circle.
  const next = edges.map((own) => own.find(({ target }) => blocked.has(target)));
  const walkOf = new Map<number, number>();
  const problems: GraphProblem[] = [];
  for (const start of blocked) {
    const path: number[] = [];
    let index: number | undefined = start;
    while (index !== undefined && !walkOf.has(index)) {
      walkOf.set(index, start);
      path.push(index);
      index = next[index]?.target;
    }
    // Came to where an earlier walk was: its circle is known already.
    if (index === undefined || walkOf.get(index) !== start) continue;
    const circle = rotateToSmallest(path.slice(path.indexOf(index)));
    const [first = 0] = circle;
    const needIndex = next[first]?.needIndex ?? 0;
    problems.push({
      taskIndex: first,
      needIndex,
      kind: "cycle",
      circle: circle.map((member) => tasks[member]?.name ?? ""),
    });
  }
  return problems;
}

/** Indexes of the tasks that could never start, however many tasks completed: those in a circle and behind one. */
function findBlocked(edges: readonly (readonly Edge[])[]): Set<number> {
  const unmet = edges.map((own) => own.length);
  const dependants: number[][] = edges.map(() => []);
  edges.forEach((own, index) => {
    for (const { target } of own) dependants[target]?.push(index);
  });
  const ready = unmet.flatMap((count, index) => (count === 0 ? [index] : []));
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    for (const dependant of dependants[next] ?? []) {
      const left = (unmet[dependant] ?? 0) - 1;
      unmet[dependant] = left;
      if (left === 0) ready.push(dependant);
    }
  }
  return new Set(unmet.flatMap((count, index) => (count > 0 ? [index] : [])));
}

/** A circle has no beginning: it is told from its first task in the job on. */
function rotateToSmallest(circle: readonly number[]): number[] {
  const start = circle.indexOf(circle.reduce((smallest, index) => Math.min(smallest, index)));
  return [...circle.slice(start), ...circle.slice(0, start)];
}

/** Which tasks wait for which, both ways round; tasks that nobody needs, or that need nobody, are absent. */
export interface TaskGraph {
  needs: ReadonlyMap<string, readonly string[]>;
  dependants: ReadonlyMap<string, readonly string[]>;
}

/** The graph by the needs of each task. */
export function buildTaskGraph(needs: ReadonlyMap<string, readonly string[]>): TaskGraph {
  const dependants = new Map<string, string[]>();
  for (const [task, own] of needs) {
    for (const need of own) {
      const known = dependants.get(need);
      if (known) known.push(task);
      else dependants.set(need, [task]);
    }
  }
  return { needs, dependants };
}
