import { runCli } from "./program.ts";
import type { Runtime } from "./runtime.ts";
import { createOutput, decideColor } from "./terminal/output.ts";

const interruptSignals = ["SIGINT", "SIGTERM"] as const;

const runtime: Runtime = {
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  // Opened by the one command that reads it.
  get stdin() {
    return process.stdin;
  },
  stdoutStream: process.stdout,
  stderrStream: process.stderr,
  openOutputs: (colorFlag) => ({
    out: createOutput(process.stdout, decideColor(process.stdout, process.env, colorFlag)),
    err: createOutput(process.stderr, decideColor(process.stderr, process.env, colorFlag)),
  }),
  onInterrupt: (listener) => {
    const onSignal = (): void => listener();
    for (const signal of interruptSignals) process.on(signal, onSignal);
    return () => {
      for (const signal of interruptSignals) process.off(signal, onSignal);
    };
  },
  onSignal: (signal, listener) => {
    const onSignal = (): void => listener();
    process.on(signal, onSignal);
    return () => process.off(signal, onSignal);
  },
  suspend: () => process.kill(0, "SIGTSTP"),
};

const exitCode = await runCli(process.argv.slice(2), runtime);
// Written through before the end: a pipe on some systems takes what is written only later.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))));
process.exit(exitCode);
