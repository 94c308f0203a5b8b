import type { Output } from "./terminal/output.ts";

/** Signals that end a process unless it hears them, beside those of `onInterrupt`. */
export const endSignals = ["SIGHUP", "SIGQUIT", "SIGABRT", "SIGALRM", "SIGUSR2", "SIGXCPU"] as const;
export type EndSignal = (typeof endSignals)[number];

/** What a command takes from the process it runs in; tests and the entry file provide it. */
export interface Runtime {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  now(): number;
  /** Where values are typed or piped in. */
  readonly stdin: NodeJS.ReadStream;
  /** The streams under the outputs, for what draws in place. */
  readonly stdoutStream: NodeJS.WriteStream;
  readonly stderrStream: NodeJS.WriteStream;
  /** Opens the two streams; colours are forbidden by `--no-color`. */
  openOutputs(colorFlag: boolean): { out: Output; err: Output };
  /** Calls the listener at each Ctrl-C (or SIGTERM) until the returned function is called; without one it ends the process. */
  onInterrupt(listener: () => void): () => void;
  /** Calls the listener at each such signal, or as the process exits, until the returned function is called. */
  onSignal(signal: EndSignal | "SIGTSTP" | "SIGCONT" | "exit", listener: () => void): () => void;
  /** Stops the process and those started with it, as Ctrl-Z does; it goes on with SIGCONT. */
  suspend(): void;
}
