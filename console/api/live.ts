import { ApiError, ConnectionError, type FollowOptions } from "../../shared/api-client/index.ts";

/**
 * How what is shown relates to what is: `stale` = contact is lost and looked for, `paused` = nobody sees the page,
 * `ended` = nothing follows, `failed` = given up, for a while or until somebody asks again.
 */
export type LiveState = "loading" | "live" | "stale" | "paused" | "ended" | "failed";

/** Contact that is lost for so long is told: streams are replaced from time to time. */
export const staleMs = 2_500;

/** After a failure that may pass it is tried again so often, while somebody sees it. */
const tryAgainMs = 10_000;

/** Whether what failed may go well later: nobody answered, or who answered is not well. */
export function mayPass(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 500 || error.status === 429;
  return error instanceof ConnectionError;
}

/** For queries: how soon (ms) to read again what failed, false where nothing failed or that would not help. */
export function readAgain({ state }: { state: { error: unknown } }): number | false {
  return mayPass(state.error) ? tryAgainMs : false;
}

/** The page as far as it matters here. */
export interface PageView {
  isHidden(): boolean;
  /** Tells when that changes, until what is answered is called. */
  onChange(listener: () => void): () => void;
  /** Calls before the page is drawn next. */
  nextFrame(call: () => void): void;
}

const browserPage: PageView = {
  isHidden: () => document.hidden,
  onChange: (listener) => {
    document.addEventListener("visibilitychange", listener);
    return () => document.removeEventListener("visibilitychange", listener);
  },
  // No frames come to a page in the background.
  nextFrame: (call) => void (document.hidden ? window.setTimeout(call, 0) : requestAnimationFrame(call)),
};

/** One run of following something, until the page is left, goes to the background, or begins again. */
export interface LiveRun {
  /** Ends with the run. */
  signal: AbortSignal;
  /** For the `follow…` calls of the API's client: they wait as long as it takes, and what becomes of contact is told. */
  options: FollowOptions;
  set(state: LiveState): void;
}

/**
 * Follows something for as long as somebody listens and sees the page, and tells the listeners at most once a frame,
 * however much comes. In the background it lets go of its connections: a browser has six to one origin, and all its tabs
 * share them. For `useSyncExternalStore`: who follows keeps what came, and calls `tell`.
 */
export abstract class Live {
  readonly #page: PageView;
  readonly #listeners = new Set<() => void>();
  #run: AbortController | undefined;
  #isToldSoon = false;
  #forgetPage: (() => void) | undefined;
  #staleTimer: ReturnType<typeof setTimeout> | undefined;
  #againTimer: ReturnType<typeof setTimeout> | undefined;
  #version = 0;
  state: LiveState = "loading";
  error: Error | undefined;

  constructor(page: PageView = browserPage) {
    this.#page = page;
  }

  /** Reads and follows, and tells what came of it; what it throws is the end of the run. */
  protected abstract follow(run: LiveRun): Promise<void>;

  /** Whether to begin again where contact was lost for so long that it was told: for what cannot tell what was missed. */
  protected get renews(): boolean {
    return false;
  }

  /** Is called where contact is lost for so long that it is told. */
  protected noteCut(): void {
    // What is shown stays as it was.
  }

  /** Changes with everything that is told. */
  readonly getVersion = (): number => this.#version;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      this.#forgetPage = this.#page.onChange(this.#onVisibility);
      this.#onVisibility();
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#forgetPage?.();
      this.#letGo();
    };
  };

  /** Begins again, such as after a failure; where nobody listens or sees the page that comes by itself. */
  readonly resume = (): void => {
    if (this.#listeners.size === 0 || this.#page.isHidden()) return;
    this.#letGo();
    if (this.error) {
      this.error = undefined;
      this.#set("loading");
    }
    this.#go();
  };

  /** Has the listeners look again, with the next frame. */
  protected tell(): void {
    if (this.#isToldSoon) return;
    this.#isToldSoon = true;
    this.#page.nextFrame(() => {
      this.#isToldSoon = false;
      this.#version++;
      for (const listener of this.#listeners) listener();
    });
  }

  #letGo(): void {
    this.#stopStaleTimer();
    clearTimeout(this.#againTimer);
    this.#run?.abort();
    this.#run = undefined;
  }

  readonly #onVisibility = (): void => {
    if (!this.#page.isHidden()) {
      if (this.#run === undefined) this.#go();
      return;
    }
    this.#letGo();
    if (this.state === "live" || this.state === "stale") this.#set("paused");
  };

  #go(): void {
    const controller = new AbortController();
    const { signal } = controller;
    this.#run = controller;
    const set = (state: LiveState) => {
      if (signal.aborted) return;
      this.#stopStaleTimer();
      this.#set(state);
    };
    const options: FollowOptions = {
      signal,
      // A console that is left open waits as long as it takes.
      patience: { giveUpAfterMs: Number.POSITIVE_INFINITY },
      onStatus: ({ status }) => {
        if (!signal.aborted) this.#noteContact(status === "connected");
      },
    };
    this.follow({ signal, options, set }).catch((error: unknown) => {
      if (signal.aborted) return;
      this.#letGo();
      this.error = error instanceof Error ? error : new Error(String(error));
      this.#set("failed");
      // What went wrong stays told until it is known to be over.
      if (mayPass(error)) this.#againTimer = setTimeout(() => this.#go(), tryAgainMs);
    });
  }

  #noteContact(isThere: boolean): void {
    if (!isThere) {
      // Each try that fails is told: it counts from the first.
      this.#staleTimer ??= setTimeout(() => {
        this.noteCut();
        this.#set("stale");
      }, staleMs);
      return;
    }
    this.#stopStaleTimer();
    const wasCut = this.state === "stale";
    this.#set("live");
    if (wasCut && this.renews) this.resume();
  }

  #stopStaleTimer(): void {
    clearTimeout(this.#staleTimer);
    this.#staleTimer = undefined;
  }

  #set(state: LiveState): void {
    this.state = state;
    if (state === "live" || state === "ended") this.error = undefined;
    this.tell();
  }
}
