import type { Readable } from "node:stream";
import type { Logger } from "../../../shared/log.ts";
import { messageOf, retryWithBackoff, untilAborted, withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels } from "./docker-client.ts";

const openDeadlineMs = 10_000;
/** A daemon that is only busy answers within this time. */
const stayDeadlineMs = 30_000;
const firstReopenMs = 250;
const maxReopenMs = 2_000;

export interface DaemonWatchOptions {
  /** Makes a new connection for each call: a daemon that is about to go answers on those it has. */
  docker: DockerClient;
  log: Logger;
  /** Each time the daemon is there (again). */
  onThere: () => void;
  onAway: () => void;
}

/**
 * Knows whether the Docker daemon is there: `away ─► there ─► away ─► …`. It keeps one request open that asks for
 * events that never come; the request breaks with the daemon, however that ends, and at once. A daemon that comes back
 * has ended every container, so whatever was begun before belongs to a session that is over.
 */
export class DaemonWatch {
  readonly #options: DaemonWatchOptions;
  readonly #closing = new AbortController();
  #noMoreWaiting = new AbortController();
  #session: AbortSignal = AbortSignal.abort(new Error("Docker was not there yet"));
  #there = Promise.withResolvers<void>();
  #events: Readable | undefined;
  #loseSession: (() => void) | undefined;

  constructor(options: DaemonWatchOptions) {
    this.#options = options;
  }

  /** Aborted as soon as the daemon goes away, and for good: when it is back there is another session. */
  get session(): AbortSignal {
    return this.#session;
  }

  /** Begins a session; throws where the daemon does not answer. From then on it is begun again by itself. */
  async open(): Promise<void> {
    const { docker, onThere } = this.#options;
    const filters = { label: [`${dockerLabels.worker}=none`] };
    const events = (await withDeadline(docker.getEvents({ filters }), openDeadlineMs, "watching Docker")) as Readable;
    if (this.#closing.signal.aborted) {
      events.destroy();
      return;
    }
    const session = new AbortController();
    const lose = () => {
      if (session.signal.aborted) return;
      events.destroy();
      session.abort(new Error("Docker went away"));
      this.#lose();
    };
    events.on("error", lose).on("end", lose).on("close", lose).resume();
    this.#events = events;
    this.#loseSession = lose;
    this.#session = session.signal;
    this.#there.resolve();
    onThere();
  }

  /**
   * Tells whether the daemon was not about to go when it said something in a session. One that is told to stop takes
   * no new connections first, then ends the containers, and answers to the last whoever is connected already: an exit
   * code, 0 included, may be its own doing.
   */
  async staysIn(session: AbortSignal): Promise<boolean> {
    if (session.aborted) return false;
    try {
      await withDeadline(this.#options.docker.ping(), stayDeadlineMs, "the ping");
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, "Docker takes no new connection");
      if (session === this.#session) this.#loseSession?.();
      return false;
    }
    return !session.aborted;
  }

  /** Resolves when the daemon is there; false where nobody is to wait for it any more. */
  async untilThere(): Promise<boolean> {
    if (!this.#session.aborted) return true;
    const there = this.#there.promise.then(() => true);
    return (await untilAborted(there, this.#noMoreWaiting.signal)) ?? false;
  }

  /**
   * Does what has to be done while the daemon is there, and once more for each time that it went away meanwhile; false
   * where that came to nothing. What fails may be the first to meet a daemon that is gone.
   */
  async persist(work: () => Promise<boolean>): Promise<boolean> {
    while (await this.untilThere()) {
      const session = this.#session;
      try {
        if (await work()) return true;
        if (await this.staysIn(session)) return false;
      } catch (error) {
        if (await this.staysIn(session)) throw error;
      }
    }
    return false;
  }

  /** Ends every wait for a daemon that is away, also those to come. */
  stopWaiting(): void {
    this.#noMoreWaiting.abort(new Error("the worker is stopping"));
  }

  /** Lets those who come from now on wait again. */
  waitAgain(): void {
    // Those who wait already are to hear of the next stop, too.
    if (this.#noMoreWaiting.signal.aborted) this.#noMoreWaiting = new AbortController();
  }

  close(): void {
    this.stopWaiting();
    this.#closing.abort(new Error("the worker is stopping"));
    this.#events?.destroy();
  }

  #lose(): void {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const { log, onAway } = this.#options;
    this.#there = Promise.withResolvers<void>();
    onAway();
    retryWithBackoff(() => this.open(), { signal, firstDelayMs: firstReopenMs, maxDelayMs: maxReopenMs }).catch(
      (error: unknown) => {
        if (!signal.aborted) log.error({ reason: messageOf(error) }, "nobody watches Docker any more");
      },
    );
  }
}
