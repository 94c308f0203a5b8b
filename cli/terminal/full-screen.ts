import { endSignals, type Runtime } from "../runtime.ts";
import { createKeyReader, type Key } from "./keys.ts";
import type { Output } from "./output.ts";
import { createScreen, decideUnicode } from "./screen.ts";

/** Who uses the whole terminal, and what it is told. */
export interface FullScreenOptions {
  runtime: Pick<Runtime, "env" | "stdin" | "stdoutStream" | "onSignal" | "suspend">;
  out: Output;
  /** A key was pressed, but for Ctrl-L, which draws everything anew. */
  onKey(key: Key): void;
  /** What was drawn is gone, or the room is another: it has to be drawn again, at once. */
  onRedraw(): void;
  /** The terminal is gone, or somebody wants an end at once. */
  onGone(): void;
}

/** A terminal that belongs to one command alone. */
export interface FullScreen {
  draw(lines: readonly string[]): void;
  /** Lets go of the terminal and stops the process, as Ctrl-Z does; takes it again when it goes on. */
  suspend(): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

/** A process that was not stopped after all (its group has no shell) takes its terminal back after so long. */
const notStoppedMs = 500;

/**
 * Takes the terminal: the second screen, keys as they are pressed. It is given back by `close`, whenever the process
 * is stopped, and as it exits, whatever ended it.
 */
export function openFullScreen(options: FullScreenOptions): FullScreen {
  const { runtime, out } = options;
  const { stdin, stdoutStream } = runtime;
  const screen = createScreen(out, decideUnicode(runtime.env));
  const reader = createKeyReader((key) => (key.name === "ctrl-l" ? redraw() : options.onKey(key)));
  const take = (bytes: Buffer): void => reader.feed(bytes);
  let isClosed = false;
  let backTimer: NodeJS.Timeout | undefined;

  function enter(): void {
    // Off first: who stopped the process may have changed the terminal, which Node would not know.
    stdin.setRawMode(false);
    stdin.setRawMode(true);
    screen.enter();
  }
  function leave(): void {
    screen.leave();
    stdin.setRawMode(false);
  }
  function goOn(): void {
    clearTimeout(backTimer);
    if (isClosed) return;
    stopHearingStop();
    stopHearingStop = runtime.onSignal("SIGTSTP", suspend);
    enter();
    options.onRedraw();
  }
  function suspend(): void {
    leave();
    // Without a listener the signal does what it does to others.
    stopHearingStop();
    backTimer = setTimeout(goOn, notStoppedMs);
    runtime.suspend();
  }
  function redraw(): void {
    screen.forget();
    options.onRedraw();
  }

  let stopHearingStop = runtime.onSignal("SIGTSTP", suspend);
  const stopHearing = [
    runtime.onSignal("SIGCONT", goOn),
    ...endSignals.map((signal) => runtime.onSignal(signal, options.onGone)),
    runtime.onSignal("exit", () => screen.leave()),
  ];
  stdoutStream.on("resize", redraw);
  stdin.on("data", take);
  stdin.on("end", options.onGone);
  stdin.on("error", options.onGone);
  enter();
  stdin.resume();
  return {
    draw: screen.draw,
    suspend,
    close: () => {
      if (isClosed) return;
      isClosed = true;
      clearTimeout(backTimer);
      stdoutStream.off("resize", redraw);
      stdin.off("data", take);
      stdin.off("end", options.onGone);
      stdin.off("error", options.onGone);
      reader.close();
      leave();
      stdin.pause();
      stopHearingStop();
      for (const stop of stopHearing) stop();
    },
  };
}
