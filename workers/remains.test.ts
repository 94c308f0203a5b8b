import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newWorkerId } from "../shared/domain/ids.ts";
import { createLogger } from "../shared/log.ts";
import { eventually } from "../test/support/eventually.ts";
import { formatOwner, type Owner, readOwner } from "./owner.ts";
import { Remains } from "./remains.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });

describe("what dead workers left on a machine", () => {
  let workDir: string;
  let own: Owner;
  let nowMs: number;
  let away: string | undefined;
  let networks: Promise<undefined>;
  const told: string[][] = [];
  beforeEach(async () => {
    workDir = await mkdtemp(join(tmpdir(), "sluice-remains-"));
    own = await readOwner();
    nowMs = 0;
    away = undefined;
    networks = Promise.resolve(undefined);
    told.splice(0);
  });
  afterEach(() => rm(workDir, { recursive: true }));

  async function makeWorker(owner: Partial<Owner> | string): Promise<string> {
    const workerId = newWorkerId(Date.now());
    await mkdir(join(workDir, workerId, "1", "sluice", "deep"), { recursive: true });
    const text = typeof owner === "string" ? owner : formatOwner({ ...own, ...owner });
    await writeFile(join(workDir, workerId, "owner"), text);
    return workerId;
  }

  function open(): Remains {
    const docker = {
      removeDeadContainers: async (workerIds: readonly string[]) => {
        told.push([...workerIds]);
        return away;
      },
      removeDeadNetworks: () => networks,
      removeFolder: async () => undefined,
    };
    return new Remains({
      workDir,
      workerDir: join(workDir, "own"),
      own,
      docker,
      adoptSpools: async () => undefined,
      nowMs: () => nowMs,
      log,
    });
  }

  it("is removed though a network of theirs stays", async () => {
    await makeWorker({ startTicks: "1" });
    networks = new Promise(() => undefined);
    const remains = open();
    void remains.look();
    await eventually(async () => (await readdir(workDir)).length === 0, "the folder to go");
    await remains.settled();
  });

  it("is removed where the process is gone, its pid is another's, or the machine was started anew; nothing else is", async () => {
    const living = await makeWorker({});
    await makeWorker({ startTicks: "1" });
    await makeWorker({ pid: 4_194_305 });
    await makeWorker({ bootId: "another" });
    await mkdir(join(workDir, "images"));
    await writeFile(join(workDir, "w-note"), "somebody's");
    await open().look();
    expect((await readdir(workDir)).sort()).toEqual(["images", living, "w-note"].sort());
  });

  it("is left alone for a while where the owner is not told: that folder may just be being made", async () => {
    const fresh = await makeWorker("");
    const old = await makeWorker("torn");
    const anHourAgo = new Date(Date.now() - 3_600_000);
    await utimes(join(workDir, old, "owner"), anHourAgo, anHourAgo);
    await open().look();
    expect(await readdir(workDir)).toEqual([fresh]);
  });

  it("is known in another pid namespace by its owner file, whose time stands still", async () => {
    const [silent, living] = [
      await makeWorker({ pidNamespace: "pid:[1]" }),
      await makeWorker({ pidNamespace: "pid:[1]" }),
    ];
    const remains = open();
    await remains.look();
    nowMs += 170_000;
    await remains.look();
    expect(await readdir(workDir)).toHaveLength(2);
    const later = new Date(Date.now() + 60_000);
    await utimes(join(workDir, living, "owner"), later, later);
    nowMs += 10_000;
    await remains.look();
    expect(await readdir(workDir)).toEqual([living]);
    // Its containers went first.
    expect(told).toEqual([[], [], [silent]]);
    remains.stop();
  });

  it("keeps the folder that tells of containers until Docker is there to remove them", async () => {
    const hidden = await makeWorker({ pidNamespace: "pid:[1]" });
    await makeWorker({ bootId: "another" });
    const remains = open();
    away = "it is frozen";
    await remains.look();
    nowMs += 200_000;
    await remains.look();
    expect(await readdir(workDir)).toEqual([hidden]);
    away = undefined;
    await remains.look();
    expect(await readdir(workDir)).toEqual([]);
    remains.stop();
  });

  it("is removed once by workers that start at the same moment", async () => {
    for (let count = 0; count < 20; count++) await makeWorker({ bootId: "another" });
    await Promise.all([open().look(), open().look(), open().look()]);
    expect(await readdir(workDir)).toEqual([]);
  });
});
