import { describe, expect, it } from "vitest";
import type { Task } from "../../shared/api/schemas.ts";
import { type FaultStack, greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { type OwnDocker, startOwnDocker } from "../support/chaos/own-docker.ts";
import { listWorkers } from "../support/chaos/patient-api.ts";
import { eventually } from "../support/eventually.ts";
import { step } from "../support/jobs.ts";

const startStack = useFaultStacks();
const image = "busybox:stable";

/** Stays until the daemon ends it, and then says that all was well. */
const stay = `${greet}; [ "$SLUICE_ATTEMPT" -ge 2 ] || { trap "exit 0" TERM; sleep 1000 & wait; }`;

async function untilAllRun(running: FaultStack, jobId: string, tasks: readonly string[]): Promise<void> {
  for (const task of tasks) {
    const runs = async () => (await running.read<Task>(`/v1/jobs/${jobId}/tasks/${task}`)).status === "running";
    await eventually(runs, `${task} running`);
  }
}

async function countContainers(docker: OwnDocker, role: string): Promise<number> {
  const filters = { label: [`sluice.role=${role}`] };
  return (await docker.client.listContainers({ filters })).length;
}

describe("a Docker daemon that goes away while tasks run", () => {
  it("costs each of them one attempt, costs waiting ones nothing, and leaves nothing when it is back", {
    timeout: 240_000,
  }, async (context) => {
    const docker = await startOwnDocker(context);
    if (!docker) return;
    const env = { DOCKER_HOST: docker.host };
    const running = await startStack({ workers: 2, slots: 2, env }, docker.client);
    // Killed, and told to stop: then it ends the containers itself, and they all exit with 0.
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      const name = signal.toLowerCase();
      const hit = planCompleting(`hit-${name}`, [step({ run: stay }, image)], ["a", "b", "c", "d"]);
      const hitId = await running.submit(hit);
      await untilAllRun(running, hitId, ["a", "b", "c", "d"]);
      await eventually(async () => (await countContainers(docker, "step")) === 4, "four containers");
      const waiting = planCompleting(`waiting-${name}`, [step({ run: greet }, image)], ["e", "f", "g", "h", "i"]);
      const waitingId = await running.submit(waiting);
      await docker.endDaemon(signal);
      const workers = () => listWorkers(running.stack, { deadlineMs: 60_000 });
      await eventually(async () => (await workers()).every(({ slotsFree }) => slotsFree === 0), "no free slots");
      await docker.startDaemon();
      for (const { attempts } of (await running.expectSound(hit, hitId)).tasks) {
        expect(attempts).toHaveLength(2);
        expect(attempts[0]?.outcome?.reason).toMatchObject({ code: "internal", fault: "infrastructure" });
        expect(attempts[0]?.outcome?.reason?.detail).toContain("Docker was restarted or broke down");
      }
      const { tasks } = await running.expectSound(waiting, waitingId);
      expect(tasks.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1, 1, 1]);
      // The containers and networks of the time before are gone while the workers live on.
      await eventually(async () => (await countContainers(docker, "step")) === 0, "the end of all step containers");
      await eventually(async () => {
        const filters = { label: ["sluice.owner"] };
        const [all, up, networks] = await Promise.all([
          docker.client.listContainers({ all: true, filters }),
          docker.client.listContainers({ filters }),
          docker.client.listNetworks({ filters }),
        ]);
        return all.length === up.length && networks.length === up.length;
      }, "only namespaces that are ready");
    }
  });
});
