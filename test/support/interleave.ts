import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { CloudRequest, Interceptor } from "./control-plane-requests.ts";

/** How a process dies: at its n-th request (from 0), before or after that was made. */
export interface Crash {
  atRequest: number;
  place: "before" | "after";
}

/** A process of the system under test: it runs until it is done, or dies for good. */
interface Process {
  crash: Crash | undefined;
  requests: number;
  dead: boolean;
}

interface WaitingRequest {
  process: Process;
  request: CloudRequest;
  release(): Promise<void>;
}

/** The error that a dying process sees from each of its requests. */
export class ProcessDied extends Error {}

/** Longest a process may compute without making a request. */
const stallMs = 20_000;

/**
 * Runs processes side by side on one real cloud, one request at a time: which waiting request goes next is chosen by the
 * test. As nothing else decides the order of requests, the same choices lead to the same history.
 */
export class Interleaver {
  readonly #current = new AsyncLocalStorage<Process>();
  readonly #waiting: WaitingRequest[] = [];

  /** Stands before every request; those of no process (a test's own) pass. */
  readonly intercept: Interceptor = (request, send) => {
    const process = this.#current.getStore();
    if (!process) return send();
    if (process.dead) return Promise.reject(new ProcessDied());
    return new Promise((resolve, reject) => {
      const release = async () => {
        const index = process.requests++;
        const dies = process.crash?.atRequest === index;
        if (process.dead || (dies && process.crash?.place === "before")) {
          process.dead = true;
          return reject(new ProcessDied());
        }
        try {
          const answer = await send();
          if (dies) process.dead = true;
          if (process.dead) reject(new ProcessDied());
          else resolve(answer);
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ process, request, release });
    });
  };

  /** Runs the work of several processes; answers for each whether it died. What it throws otherwise is thrown here. */
  async run(
    works: readonly { work: () => Promise<void>; crash?: Crash | undefined }[],
    choose: (waiting: number) => number,
  ): Promise<boolean[]> {
    const processes = works.map(({ crash }): Process => ({ crash, requests: 0, dead: false }));
    let running = works.length;
    const ends = works.map(async ({ work }, index) => {
      const process = processes[index];
      if (!process) return;
      try {
        await this.#current.run(process, work);
      } catch (error) {
        if (!process.dead) throw error;
      } finally {
        running -= 1;
      }
    });
    const finished = Promise.all(ends);
    // Looked at below; until then a failure must not count as unhandled.
    finished.catch(() => undefined);
    for (let idleSince = Date.now(); ; ) {
      // What runs between two requests are promises only: after a turn of the event loop all have come to their next.
      await nextTurn();
      const next = this.#waiting.splice(choose(this.#waiting.length), 1)[0];
      if (next) {
        await next.release();
        idleSince = Date.now();
      } else if (running === 0) break;
      else if (Date.now() - idleSince > stallMs) throw new Error("a process neither ends nor asks for anything");
      else await sleep(1);
    }
    await finished;
    return processes.map((process) => process.dead);
  }
}
