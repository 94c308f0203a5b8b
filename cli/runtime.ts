import type { Output } from "./terminal/output.ts";

/** What a command takes from the process it runs in; tests and the entry file provide it. */
export interface Runtime {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  now(): number;
  /** Where values are typed or piped in. */
  readonly stdin: NodeJS.ReadStream;
  /** The stream under stderr's output, for the live view. */
  readonly stderrStream: NodeJS.WriteStream;
  /** Opens the two streams; colours are forbidden by `--no-color`. */
  openOutputs(colorFlag: boolean): { out: Output; err: Output };
  /** Calls the listener at each Ctrl-C (or SIGTERM) until the returned function is called; without one it ends the process. */
  onInterrupt(listener: () => void): () => void;
}
