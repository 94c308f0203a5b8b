import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newWorkerId } from "../../shared/domain/ids.ts";
import type { StepEntry, StepSpec } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { defaultDockerSocket } from "../../workers/docker-address.ts";
import { DockerExecutor } from "../../workers/executors/docker/docker-executor.ts";
import type { Executor, RunningStep, StepExit, TaskContext, TaskSandbox } from "../../workers/executors/executor.ts";
import { ProcessExecutor } from "../../workers/executors/process/process-executor.ts";
import { killQuietly } from "../../workers/executors/process/stray-processes.ts";
import { readOwner } from "../../workers/owner.ts";
import { createWorkspace, removeTree } from "../../workers/workspace.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { imageSettings } from "../support/image-loader.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });
const never = new AbortController().signal;

/** Collects what a step prints; `slowdown` makes it wait. */
function collectOutput(slowdown?: () => Promise<void>) {
  const text = { stdout: "", stderr: "" };
  return {
    text,
    write: (stream: "stdout" | "stderr", bytes: Buffer) => {
      text[stream] += bytes.toString("latin1");
      return slowdown?.();
    },
  };
}

interface Kind {
  name: "docker" | "process";
  open: (workerId: string, folder: string) => Promise<Executor>;
  step: (entry: StepEntry, more?: { env?: Record<string, string>; workdir?: string }) => StepSpec;
}

const kinds: Kind[] = [
  {
    name: "process",
    open: async () => new ProcessExecutor({ hostEnv: { PATH: process.env.PATH ?? "/bin" }, log }),
    step: (entry, more = {}) => ({ kind: "process", name: "step 1", entry, env: {}, ...more }),
  },
  {
    name: "docker",
    open: async (workerId, folder) => {
      const owner = await readOwner();
      return new DockerExecutor({
        images: imageSettings(folder),
        isolation: { metadata: "blocked", addedCapabilities: [] },
        address: { kind: "socket", path: defaultDockerSocket },
        slots: 1,
        workerId,
        owner,
        log,
      });
    },
    step: (entry, more = {}) => ({
      kind: "container",
      name: "step 1",
      image: "busybox:stable",
      shipped: false,
      entry,
      env: {},
      ...more,
    }),
  },
];

describe.each(kinds)("the $name executor", ({ name, open, step }) => {
  const workerId = newWorkerId(Date.now());
  let executor: Executor;
  let folder: string;
  let tasks = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-executor-"));
    executor = await open(workerId, folder);
  });
  beforeEach(async (context) => {
    if (name === "docker") await needDocker(context);
  });
  afterAll(async () => {
    await executor.close();
    await rm(folder, { recursive: true, force: true });
    if (name === "docker") expect(await listLeftovers(`sluice.worker=${workerId}`)).toEqual([]);
  });

  async function inTask<T>(
    work: (sandbox: TaskSandbox, task: TaskContext) => Promise<T>,
    overrides: Partial<TaskContext> = {},
  ): Promise<T> {
    const task: TaskContext = {
      attemptId: `job.0.task.${++tasks}`,
      jobId: "job-1",
      task: "unit",
      attempt: 3,
      slots: 2,
      env: {},
      secrets: new Map(),
      workspace: await createWorkspace(folder, `t${tasks}`),
      shippedImages: [],
      images: {},
      ...overrides,
    };
    const sandbox = executor.openTask(task);
    try {
      return await work(sandbox, task);
    } finally {
      await sandbox.close();
      await removeTree(task.workspace.root);
    }
  }

  async function start(sandbox: TaskSandbox, spec: StepSpec, output = collectOutput()): Promise<RunningStep> {
    const prepared = await sandbox.prepareStep({ index: 1, name: "step 1", spec }, never);
    return prepared.start(output);
  }

  async function run(sandbox: TaskSandbox, spec: StepSpec): Promise<StepExit & { stdout: string; stderr: string }> {
    const output = collectOutput();
    const running = await start(sandbox, spec, output);
    return { ...(await running.ended), ...output.text };
  }

  it("runs a shell line and tells its output and exit code", () =>
    inTask(async (sandbox) => {
      expect(await run(sandbox, step({ run: "echo out; echo err >&2; exit 42" }))).toEqual({
        exitCode: 42,
        outOfMemory: false,
        stdout: "out\n",
        stderr: "err\n",
      });
    }));

  it("runs a program with its arguments as they are, without a shell", () =>
    inTask(async (sandbox) => {
      expect(await run(sandbox, step({ command: ["echo", "$HOME", "a  b", "*"] }))).toMatchObject({
        exitCode: 0,
        stdout: "$HOME a  b *\n",
      });
    }));

  it("ends with 127 and says so where the program does not exist", () =>
    inTask(async (sandbox) => {
      const end = await run(sandbox, step({ command: ["no-such-program"] }));
      expect(end.exitCode).toBe(127);
      expect(end.stderr).toMatch(/no-such-program.*(not found|no such file)/i);
    }));

  it("tells the signal that ended a step as 128 and its number", () =>
    inTask(async (sandbox) => {
      expect(await run(sandbox, step({ run: "kill -9 $$" }))).toMatchObject({ exitCode: 137, outOfMemory: false });
    }));

  it("sets the variables of Sluice over those of step and task, and none of the worker's own", () =>
    inTask(
      async (sandbox) => {
        process.env.SLUICE_TEST_LEAK = "leaked";
        const spec = step({ run: "env" }, { env: { LEVEL: "step" } });
        const env = (await run(sandbox, spec)).stdout.split("\n");
        delete process.env.SLUICE_TEST_LEAK;
        expect(env).toEqual(
          expect.arrayContaining([
            "CI=true",
            "LEVEL=step",
            "OTHER=task",
            "SLUICE_JOB=job-1",
            "SLUICE_TASK=unit",
            "SLUICE_TASK_FQN=job-1/unit",
            "SLUICE_ATTEMPT=3",
            "SLUICE_STEP=1",
            "SLUICE_SLOTS=2",
            "ALFRED_TASK=unit",
            "ALFRED_TASK_FQN=job-1/unit",
            "ALFRED_NB_SLOTS_FOR_TASK=2",
          ]),
        );
        expect(env.join()).not.toContain("leaked");
      },
      { env: { LEVEL: "task", OTHER: "task" } },
    ));

  it.runIf(name === "process")("says in the log of a step on the host that resources do not hold it", () =>
    inTask(
      async (sandbox) => {
        const { stderr } = await run(sandbox, step({ run: "true" }));
        expect(stderr).toMatch(/^sluice: resources are enforced on containers; .* without them\n$/);
      },
      { resources: { pids: 16 } },
    ),
  );

  it("shares the workspace between steps and keeps what is written to the output", () =>
    inTask(async (sandbox, task) => {
      await run(sandbox, step({ run: 'echo shared > "$SLUICE_SHARED/a"; echo kept > "$ALFRED_OUTPUT/b"' }));
      const second = await run(sandbox, step({ run: 'cat "$ALFRED_SHARED/a"; cat "$SLUICE_WORKSPACE/output/b"' }));
      expect(second.stdout).toBe("shared\nkept\n");
      expect(await readFile(join(task.workspace.output, "b"), "utf8")).toBe("kept\n");
    }));

  it("starts a step in its workdir", () =>
    inTask(async (sandbox) => {
      const end = await run(
        sandbox,
        step({ run: "echo x > here; cat $SLUICE_OUTPUT/here" }, { workdir: "/sluice/output" }),
      );
      expect(end).toMatchObject({ exitCode: 0, stdout: "x\n" });
    }));

  it("gives every byte, however slowly it is taken", () =>
    inTask(async (sandbox) => {
      const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
      const output = collectOutput(turn);
      const spec = step({ run: "yes 0123456789 | head -c 5000000; yes e | head -c 100001 >&2" });
      const running = await start(sandbox, spec, output);
      expect((await running.ended).exitCode).toBe(0);
      expect(output.text.stdout).toBe("0123456789\n".repeat(454_546).slice(0, 5_000_000));
      expect(output.text.stderr).toBe("e\n".repeat(50_001).slice(0, 100_001));
    }));

  it("makes the step wait while nobody takes its output", () =>
    inTask(async (sandbox, task) => {
      const { promise: taken, resolve: take } = Promise.withResolvers<void>();
      const output = collectOutput(() => taken);
      const spec = step({ run: 'yes | head -c 20000000; touch "$SLUICE_SHARED/written"' });
      const running = await start(sandbox, spec, output);
      await eventually(() => output.text.stdout.length > 0, "first output");
      await expect(readFile(join(task.workspace.shared, "written"))).rejects.toThrow("ENOENT");
      expect(output.text.stdout.length).toBeLessThan(1_000_000);
      take();
      await running.ended;
      expect(output.text.stdout.length).toBe(20_000_000);
    }));

  it("asks the whole process group to end", () =>
    inTask(async (sandbox, task) => {
      const child = `trap 'echo child >> "$SLUICE_SHARED/told"; exit' TERM; touch "$SLUICE_SHARED/up"; while :; do sleep 0.1; done`;
      await writeFile(join(task.workspace.path, "child.sh"), child);
      const parent = `trap 'wait; echo parent >> "$SLUICE_SHARED/told"; exit 5' TERM; sh "$SLUICE_WORKSPACE/child.sh" & wait`;
      const running = await start(sandbox, step({ run: parent }));
      await eventually(() => readFile(join(task.workspace.shared, "up")).then(() => true), "the child");
      running.terminate();
      expect(await running.ended).toEqual({ exitCode: 5, outOfMemory: false });
      expect(await readFile(join(task.workspace.shared, "told"), "utf8")).toBe("child\nparent\n");
    }));

  it("ends a step that does not want to", () =>
    inTask(async (sandbox) => {
      const output = collectOutput();
      const running = await start(sandbox, step({ run: "trap '' TERM; echo up; while :; do sleep 0.1; done" }), output);
      await eventually(() => output.text.stdout.includes("up"), "the step");
      running.terminate();
      running.kill();
      expect((await running.ended).exitCode).toBe(137);
    }));

  it("leaves no process of a step behind, also none in a session of its own", async () => {
    const pids = await inTask(async (sandbox, task) => {
      const script = `sleep 1000 & echo $! > "$SLUICE_SHARED/a"; setsid sleep 1000 & echo $! > "$SLUICE_SHARED/b"`;
      const end = await run(sandbox, step({ run: script }));
      expect(end.exitCode).toBe(0);
      return Promise.all(["a", "b"].map((file) => readFile(join(task.workspace.shared, file), "utf8")));
    });
    // A container's pids are its own; its processes are gone with it.
    if (name === "docker") return;
    // Dead at once; until the first process has reaped it, its pid is still taken.
    for (const pid of pids) await eventually(() => !killQuietly(Number(pid), 0), `the end of process ${pid}`);
  });

  it("ends what still runs when the task is closed", async () => {
    const ended = Promise.withResolvers<number | "gone">();
    await inTask(async (sandbox) => {
      const output = collectOutput();
      const running = await start(sandbox, step({ run: "echo up; sleep 1000" }), output);
      running.ended.then(
        (exit) => ended.resolve(exit.exitCode),
        () => ended.resolve("gone"),
      );
      await eventually(() => output.text.stdout.includes("up"), "the step");
    });
    expect([137, "gone"]).toContain(await ended.promise);
  });

  it("prepares the next steps while one runs, and leaves nothing of one that is never started", () =>
    inTask(async (sandbox) => {
      const first = await start(sandbox, step({ run: "sleep 0.2; echo first" }));
      const next = await sandbox.prepareStep({ index: 2, name: "two", spec: step({ run: "echo two" }) }, never);
      const unwanted = await sandbox.prepareStep({ index: 3, name: "three", spec: step({ run: "echo three" }) }, never);
      await first.ended;
      const output = collectOutput();
      await (await next.start(output)).ended;
      expect(output.text.stdout).toBe("two\n");
      expect(unwanted).toBeDefined();
    }));
});
