import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConnectionError } from "../../shared/api-client/index.ts";
import { Live, type LiveRun, type PageView } from "./live.ts";

/** A page that is drawn, hidden and shown by hand. */
function createPage() {
  let isHidden = false;
  let frame: (() => void) | undefined;
  const listeners = new Set<() => void>();
  const show = (hidden: boolean) => {
    isHidden = hidden;
    for (const listener of listeners) listener();
  };
  const view: PageView = {
    isHidden: () => isHidden,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    nextFrame: (call) => {
      frame = call;
    },
  };
  const draw = () => {
    const call = frame;
    frame = undefined;
    call?.();
  };
  return { view, draw, listeners, hide: () => show(true), show: () => show(false) };
}

/** Follows without an end, and keeps what it was given. */
class Followed extends Live {
  readonly runs: LiveRun[] = [];
  readonly #renews: boolean;

  constructor(page: PageView, renews: boolean) {
    super(page);
    this.#renews = renews;
  }

  protected override get renews(): boolean {
    return this.#renews;
  }

  note(): void {
    this.tell();
  }

  protected override follow(run: LiveRun): Promise<void> {
    this.runs.push(run);
    return new Promise<void>((_resolve, reject) => {
      run.signal.addEventListener("abort", () => reject(run.signal.reason));
    });
  }
}

/** Fails the first times, and has ended the next. */
class Failing extends Live {
  readonly #failures: Error[];

  constructor(page: PageView, ...failures: Error[]) {
    super(page);
    this.#failures = failures;
  }

  protected override async follow({ set }: LiveRun): Promise<void> {
    const failure = this.#failures.shift();
    if (failure) throw failure;
    set("ended");
  }
}

function createFollowed(renews = false) {
  const page = createPage();
  const live = new Followed(page.view, renews);
  const cut = (run: LiveRun | undefined) =>
    run?.options.onStatus?.({ status: "lost", error: new Error("cut"), retryInMs: 1, lostForMs: 0 });
  const connect = (run: LiveRun | undefined) => run?.options.onStatus?.({ status: "connected" });
  return { live, page, runs: live.runs, cut, connect };
}

describe("what is followed live", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("runs from the first listener to the last, and leaves nothing", () => {
    const { live, page, runs } = createFollowed();
    const [first, second] = [live.subscribe(() => undefined), live.subscribe(() => undefined)];
    expect(runs).toHaveLength(1);
    first();
    expect(runs[0]?.signal.aborted).toBe(false);
    second();
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(page.listeners.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("tells once a frame, however much comes", () => {
    const { live, page } = createFollowed();
    let told = 0;
    const leave = live.subscribe(() => told++);
    for (let count = 0; count < 50; count++) live.note();
    expect(told).toBe(0);
    const before = live.getVersion();
    page.draw();
    page.draw();
    expect([told, live.getVersion() - before]).toEqual([1, 1]);
    leave();
  });

  it("lets go in the background and begins again when it is seen", () => {
    const { live, page, runs, connect } = createFollowed();
    const leave = live.subscribe(() => undefined);
    connect(runs[0]);
    page.hide();
    expect([runs[0]?.signal.aborted, live.state]).toEqual([true, "paused"]);
    page.show();
    expect([runs.length, runs[1]?.signal.aborted]).toEqual([2, false]);
    // What comes late from the run before changes nothing.
    connect(runs[0]);
    expect(live.state).toBe("paused");
    leave();
  });

  it("is stale where contact stays away, not where a stream is replaced", () => {
    const { live, runs, cut, connect } = createFollowed();
    const leave = live.subscribe(() => undefined);
    connect(runs[0]);
    cut(runs[0]);
    vi.advanceTimersByTime(2_000);
    connect(runs[0]);
    vi.advanceTimersByTime(10_000);
    expect(live.state).toBe("live");
    // Every try that fails is told.
    for (let tries = 0; tries < 3; tries++) {
      cut(runs[0]);
      vi.advanceTimersByTime(1_000);
    }
    expect(live.state).toBe("stale");
    connect(runs[0]);
    expect([live.state, runs.length]).toEqual(["live", 1]);
    leave();
  });

  it("begins again, once, after contact was lost for long where that is asked for", () => {
    const { live, runs, cut, connect } = createFollowed(true);
    const leave = live.subscribe(() => undefined);
    cut(runs[0]);
    vi.advanceTimersByTime(3_000);
    connect(runs[0]);
    connect(runs[1]);
    expect([live.state, runs.length, runs[0]?.signal.aborted]).toEqual(["live", 2, true]);
    leave();
  });

  it("keeps what went wrong until somebody asks again", async () => {
    const live = new Failing(createPage().view, new Error("refused"));
    const leave = live.subscribe(() => undefined);
    await vi.waitFor(() => expect(live.state).toBe("failed"));
    expect(live.error?.message).toBe("refused");
    expect(vi.getTimerCount()).toBe(0);
    live.resume();
    expect([live.state, live.error]).toEqual(["ended", undefined]);
    leave();
  });

  it("tries again by itself where nobody answered, while it is seen, and tells the failure until then", async () => {
    const cut = () => new ConnectionError("reset", "http://x", "no answer");
    const page = createPage();
    const live = new Failing(page.view, cut(), cut());
    const leave = live.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(1);
    expect([live.state, live.error?.message]).toEqual(["failed", "no answer"]);
    page.hide();
    expect(vi.getTimerCount()).toBe(0);
    page.show();
    await vi.advanceTimersByTimeAsync(9_000);
    expect([live.state, live.error?.message]).toEqual(["failed", "no answer"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([live.state, live.error]).toEqual(["ended", undefined]);
    leave();
  });
});
