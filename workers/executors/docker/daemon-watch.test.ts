import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../../shared/log.ts";
import { DaemonWatch } from "./daemon-watch.ts";
import type { DockerClient } from "./docker-client.ts";

const patience = { timeout: 10_000 };

/** A daemon as far as the watch sees it: it takes connections or does not, and ends those it has when it dies. */
class FakeDaemon {
  readonly heard: string[] = [];
  readonly watch: DaemonWatch;
  takesConnections = true;
  #events: PassThrough | undefined;

  constructor() {
    const connect = async () => {
      if (!this.takesConnections) throw new Error("connect ENOENT");
    };
    const client = {
      ping: connect,
      getEvents: async () => {
        await connect();
        this.#events = new PassThrough();
        return this.#events;
      },
    };
    this.watch = new DaemonWatch({
      docker: client as unknown as DockerClient,
      log: createLogger("test", { level: "silent" }),
      onThere: () => this.heard.push("there"),
      onAway: () => this.heard.push("away"),
    });
  }

  die(): void {
    this.takesConnections = false;
    this.#events?.destroy(new Error("socket hang up"));
  }
}

describe("DaemonWatch", () => {
  it("ends the session with the daemon, and begins another when it is back", async () => {
    const daemon = new FakeDaemon();
    expect(daemon.watch.session.aborted).toBe(true);
    await daemon.watch.open();
    const first = daemon.watch.session;
    expect(first.aborted).toBe(false);
    daemon.die();
    await expect.poll(() => first.aborted, patience).toBe(true);
    daemon.takesConnections = true;
    expect(await daemon.watch.untilThere()).toBe(true);
    expect(daemon.watch.session.aborted).toBe(false);
    expect(first.aborted).toBe(true);
    expect(daemon.heard).toEqual(["there", "away", "there"]);
    daemon.watch.close();
  });

  it("takes a daemon that takes no new connections for one that is going", async () => {
    const daemon = new FakeDaemon();
    await daemon.watch.open();
    const { session } = daemon.watch;
    expect(await daemon.watch.staysIn(session)).toBe(true);
    daemon.takesConnections = false;
    expect(await daemon.watch.staysIn(session)).toBe(false);
    expect(session.aborted).toBe(true);
    daemon.watch.close();
  });

  it("does again what the daemon was away for, and once only where it stayed", async () => {
    const daemon = new FakeDaemon();
    await daemon.watch.open();
    let tries = 0;
    const done = daemon.watch.persist(async () => {
      tries += 1;
      if (tries > 1) return true;
      daemon.die();
      await expect.poll(() => daemon.watch.session.aborted, patience).toBe(true);
      throw new Error("socket hang up");
    });
    await expect.poll(() => daemon.heard.length === 2, patience).toBe(true);
    daemon.takesConnections = true;
    expect(await done).toBe(true);
    expect(tries).toBe(2);
    expect(await daemon.watch.persist(async () => false)).toBe(false);
    daemon.watch.close();
  });

  it("does again what met the end of the daemon before the watch did", async () => {
    const daemon = new FakeDaemon();
    await daemon.watch.open();
    const outcomes = [() => Promise.reject(new Error("connect ECONNREFUSED")), async () => false, async () => true];
    const done = daemon.watch.persist(() => {
      daemon.takesConnections = outcomes.length === 1;
      return outcomes.shift()?.() ?? Promise.reject(new Error("tried too often"));
    });
    await expect.poll(() => daemon.heard.length === 2, patience).toBe(true);
    daemon.takesConnections = true;
    await expect.poll(() => daemon.heard.length === 4, patience).toBe(true);
    daemon.takesConnections = true;
    expect(await done).toBe(true);
    expect(outcomes).toEqual([]);
    daemon.watch.close();
  });

  it("lets nobody wait once it is told so, but goes on with a daemon that is there", async () => {
    const daemon = new FakeDaemon();
    const waiting = daemon.watch.untilThere();
    daemon.watch.stopWaiting();
    expect(await waiting).toBe(false);
    expect(await daemon.watch.persist(async () => true)).toBe(false);
    await daemon.watch.open();
    expect(await daemon.watch.persist(async () => true)).toBe(true);
    daemon.watch.close();
  });

  it("lets those wait again who come after that, and ends at the next stop also what waited before", async () => {
    const daemon = new FakeDaemon();
    daemon.watch.stopWaiting();
    daemon.watch.waitAgain();
    const waiting = daemon.watch.untilThere();
    daemon.watch.waitAgain();
    daemon.watch.stopWaiting();
    expect(await waiting).toBe(false);
    daemon.watch.close();
  });
});
