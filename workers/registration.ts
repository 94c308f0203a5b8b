import { hostname } from "node:os";
import type { WorkerSettings } from "../shared/api/worker-schemas.ts";
import type { Logger } from "../shared/log.ts";
import type { WorkerConfig } from "./config.ts";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import { type InstanceIdentity, readInstance } from "./notices/instance.ts";
import { messageOf, retryWithBackoff, untilAborted } from "./retry.ts";

export interface RegistrationOptions {
  workerId: string;
  config: WorkerConfig;
  version: string;
  build?: string | undefined;
  client: ControlPlaneClient;
  /** Ends the waiting for a control plane that does not answer; asked for at each registration. */
  giveUp: () => AbortSignal;
  log: Logger;
}

const registerDeadlineMs = 10_000;
/** Its own cloud answers in milliseconds; one that does not is not worth a slow start. */
const instanceDeadlineMs = 1_000;

/** How a worker makes itself known, and again where the control plane has lost its records. */
export class Registration {
  readonly #options: RegistrationOptions;
  #isUnderWay = false;
  #instance: Promise<InstanceIdentity> | undefined;
  #wasTried = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Whether the control plane may know of this worker, even if its answer never came. */
  get wasTried(): boolean {
    return this.#wasTried;
  }

  /** Waits for a control plane that is not there yet; undefined where the worker was told to stop before it answered. */
  async register(): Promise<WorkerSettings | undefined> {
    const { workerId, config, client, version, build, giveUp, log } = this.#options;
    const signal = giveUp();
    const worker = {
      workerId,
      pool: config.pool,
      slots: config.slots,
      provider: config.provider,
      host: hostname(),
      ...(await this.#readInstance()),
      ...(config.imageDigest === undefined ? {} : { imageDigest: config.imageDigest }),
      version,
      ...(build === undefined ? {} : { build }),
      processSteps: config.executors.includes("process"),
    };
    if (signal.aborted) return undefined;
    this.#wasTried = true;
    const registration = retryWithBackoff(() => client.register(worker, { deadlineMs: registerDeadlineMs, signal }), {
      signal,
      firstDelayMs: 50,
      maxDelayMs: 2_000,
      onFailure: (error) => log.warn({ reason: error.message }, "waiting for the control plane"),
    });
    const settings = await untilAborted(registration, signal);
    if (settings !== undefined) checkSettings(settings, config.drain.drainMs, log);
    return settings;
  }

  /** Asked once: it stays what it is as long as this process lives. */
  #readInstance(): Promise<InstanceIdentity> {
    const { provider, notices } = this.#options.config;
    this.#instance ??= readInstance({
      provider,
      endpoint: notices.endpoint,
      deadlineMs: instanceDeadlineMs,
      // The wall clock of a machine that has just booted may leap.
      nowMs: () => performance.now(),
    });
    return this.#instance;
  }

  /** A control plane that has lost its records learns of this worker again; what it holds goes on meanwhile. */
  registerAgain(): void {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    void this.register()
      .catch((error: unknown) =>
        this.#options.log.error({ reason: messageOf(error) }, "the worker could not register again"),
      )
      .finally(() => {
        this.#isUnderWay = false;
      });
  }
}

/** The control plane's times have to fit into each other, or leases end under healthy workers. */
function checkSettings(settings: WorkerSettings, drainMs: number, log: Logger): void {
  const { heartbeatMs, leaseMs, visibilityTimeoutSeconds } = settings;
  if (drainMs > visibilityTimeoutSeconds * 1000) {
    log.warn({ drainMs, visibilityTimeoutSeconds }, "a drain (SLUICE_DRAIN_MS) should fit into the visibility timeout");
  }
  if (heartbeatMs * 3 <= leaseMs && leaseMs <= visibilityTimeoutSeconds * 1000) return;
  log.warn(
    { heartbeatMs, leaseMs, visibilityTimeoutSeconds },
    "three heartbeats should fit into a lease, and a lease into the visibility timeout of the queue",
  );
}
