import type { StepOutput } from "../executors/executor.ts";
import type { LogStream } from "../logs/line-cutter.ts";
import type { ClosableOutput } from "../masking/masked-output.ts";
import { LogTail } from "./log-tail.ts";
import { TextFinder } from "./text-finder.ts";

/** What a service prints over all its starts: past who looks for a text, into its log, into its last words. */
export class ServiceOutput implements StepOutput {
  readonly #log: ClosableOutput;
  readonly #text: string;
  readonly #tail = new LogTail();
  #finder: TextFinder;

  /** `text` is what its health check looks for, if it does. */
  constructor(openLog: (wrap: (log: StepOutput) => StepOutput) => ClosableOutput, text: string | undefined) {
    this.#text = text ?? "";
    this.#finder = new TextFinder(this.#text);
    // Last words are cut out of their lines, so they are taken where secrets are masked: half a secret would not be.
    this.#log = openLog((log) => ({
      write: (stream, bytes) => {
        this.#tail.push(bytes);
        return log.write(stream, bytes);
      },
    }));
  }

  /** What is found, and what the last words are, counts from here: a new start of the service. */
  beginStart(): TextFinder {
    this.#tail.clear();
    this.#finder = new TextFinder(this.#text);
    return this.#finder;
  }

  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    if (this.#text !== "") this.#finder.push(stream, bytes);
    return this.#log.write(stream, bytes);
  }

  /** A line of Sluice's own in the log. */
  note(text: string): void {
    void this.#log.write("stderr", Buffer.from(`sluice: ${text}\n`));
  }

  lastLines(): string[] {
    return this.#tail.lastLines();
  }

  /** Nothing more comes. */
  close(): void {
    this.#log.close();
  }
}
