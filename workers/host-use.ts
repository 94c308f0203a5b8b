import type { Heartbeat } from "../shared/api/worker-schemas.ts";
import type { Logger } from "../shared/log.ts";
import { createHostSampler, type HostSampler } from "./metrics/host-sample.ts";
import { messageOf } from "./retry.ts";

/** The newest sample of the machine, for heartbeats: these wait for nothing, so it is as old as the beat before. */
export class HostUse {
  readonly #sampler: HostSampler;
  readonly #log: Logger;
  #latest: Heartbeat["host"];
  #isSampling = false;

  constructor(folder: string, log: Logger, sampler = createHostSampler({ folder })) {
    this.#sampler = sampler;
    this.#log = log;
  }

  /** The sample before; begins the next one unless the last still hangs, as a disk may. */
  next(): Heartbeat["host"] {
    if (!this.#isSampling) void this.#sample();
    return this.#latest;
  }

  async #sample(): Promise<void> {
    this.#isSampling = true;
    try {
      const { cpu, memoryBytes, diskBytes } = await this.#sampler.sample();
      this.#latest = { cpu, memoryBytes, diskBytes };
    } catch (error) {
      // What was true is not told as if it still were.
      this.#latest = undefined;
      this.#log.debug({ reason: messageOf(error) }, "how busy the machine is cannot be told");
    } finally {
      this.#isSampling = false;
    }
  }
}
