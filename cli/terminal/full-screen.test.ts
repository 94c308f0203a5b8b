import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { type FullScreenOptions, openFullScreen } from "./full-screen.ts";
import { createOutput } from "./output.ts";

/** A terminal whose modes and writings are seen, and signals that tests send. */
function openFake() {
  const written: string[] = [];
  const told: string[] = [];
  const signals = new EventEmitter();
  const stdin = Object.assign(new EventEmitter(), {
    isRaw: false,
    setRawMode(mode: boolean) {
      this.isRaw = mode;
    },
    resume: () => undefined,
    pause: () => told.push("paused"),
  });
  const stdoutStream = Object.assign(new EventEmitter(), { isTTY: true, columns: 80, rows: 24 });
  const out = createOutput(Object.assign(stdoutStream, { write: (text: string) => written.push(text) }), false);
  const runtime = {
    env: {},
    stdin,
    stdoutStream,
    onSignal: (name: string, listener: () => void) => {
      signals.on(name, listener);
      return () => signals.off(name, listener);
    },
    suspend: () => told.push(`suspended with ${signals.listenerCount("SIGTSTP")} listening`),
  } as unknown as FullScreenOptions["runtime"];
  const terminal = openFullScreen({
    runtime,
    out,
    onKey: ({ name }) => told.push(name),
    onRedraw: () => told.push("redraw"),
    onGone: () => told.push("gone"),
  });
  const take = () => written.splice(0).join("");
  return { terminal, stdin, stdoutStream, signals, told, take };
}

const entered = "\u001b[?1049h";
const left = "\u001b[?1049l";

describe("the whole terminal", () => {
  it("is taken and given back, and nothing of it stays", () => {
    const { terminal, stdin, stdoutStream, signals, told, take } = openFake();
    expect([take().startsWith(entered), stdin.isRaw]).toEqual([true, true]);
    stdin.emit("data", Buffer.from("j\u000c"));
    stdoutStream.emit("resize");
    stdin.emit("end");
    signals.emit("SIGHUP");
    expect(told.splice(0)).toEqual(["j", "redraw", "redraw", "gone", "gone"]);
    terminal.close();
    terminal.close();
    expect([take().endsWith(left), stdin.isRaw, told]).toEqual([true, false, ["paused"]]);
    const names = ["SIGHUP", "SIGTSTP", "SIGCONT", "exit"];
    expect(names.map((name) => signals.listenerCount(name))).toEqual([0, 0, 0, 0]);
    expect([stdin.listenerCount("data"), stdin.listenerCount("end"), stdoutStream.listenerCount("resize")]).toEqual([
      ...[0, 0, 0],
    ]);
  });

  it("is given back while the process is stopped, and taken again when it goes on", () => {
    const { terminal, stdin, signals, told, take } = openFake();
    for (const stop of [() => terminal.suspend(), () => signals.emit("SIGTSTP")]) {
      take();
      stop();
      expect([take().endsWith(left), stdin.isRaw, told.splice(0)]).toEqual([
        ...[true, false, ["suspended with 0 listening"]],
      ]);
      signals.emit("SIGCONT");
      expect([take().startsWith(entered), stdin.isRaw, told.splice(0)]).toEqual([true, true, ["redraw"]]);
    }
    terminal.close();
  });

  it("is given back as the process exits, whatever ended it", () => {
    const { signals, take } = openFake();
    signals.emit("exit");
    expect(take().endsWith(left)).toBe(true);
  });
});
