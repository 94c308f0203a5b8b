import { ansiStyle, plainStyle, type Style } from "./style.ts";

/** One of the two streams that a command writes to. */
export interface Output {
  readonly isTty: boolean;
  /** Columns of the terminal; without a terminal nothing is cut, so Infinity. */
  readonly columns: number;
  readonly rows: number;
  readonly style: Style;
  /** True once the reader has gone (`sluice logs … | head`): whoever only prints stops then. */
  readonly closed: boolean;
  write(text: string): void;
  /** Writes lines, each ended by a newline, in one piece. */
  writeLines(lines: readonly string[]): void;
  /** Resolves once the reader has taken what was written, but for some kilobytes: whoever writes much waits for it. */
  drained(): Promise<void>;
}

/** The stream under an output, as far as it is used. */
export interface OutputStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  readonly writableNeedDrain?: boolean | undefined;
  write(text: string): unknown;
  on(event: "error" | "drain" | "close", listener: (error: Error & { code?: string }) => void): unknown;
}

/** Wraps a stream; `useColor` says whether codes for colours may be written to it. */
export function createOutput(stream: OutputStream, useColor: boolean): Output {
  let closed = false;
  stream.on("error", (error) => {
    // A reader or a terminal that went away is no fault of the command; how it ends is told by the exit code.
    if (error.code !== "EPIPE" && !(error.code === "EIO" && stream.isTTY === true)) throw error;
    closed = true;
    release();
  });
  const waiting: (() => void)[] = [];
  const release = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  stream.on("drain", release);
  stream.on("close", release);
  const isTty = stream.isTTY === true;
  const write = (text: string): void => {
    if (!closed && text !== "") stream.write(text);
  };
  return {
    isTty,
    // A terminal of no size (some CI systems) is taken for the usual one.
    get columns() {
      return isTty ? stream.columns || 80 : Number.POSITIVE_INFINITY;
    },
    get rows() {
      return isTty ? stream.rows || 24 : Number.POSITIVE_INFINITY;
    },
    get closed() {
      return closed;
    },
    style: useColor ? ansiStyle : plainStyle,
    write,
    drained: () => {
      if (closed || stream.writableNeedDrain !== true) return Promise.resolve();
      return new Promise((resolve) => waiting.push(resolve));
    },
    writeLines: (lines) => write(lines.map((line) => `${line}\n`).join("")),
  };
}

/** Whether colours may be used on a stream: `--no-color` and NO_COLOR forbid them, FORCE_COLOR asks for them. */
export function decideColor(
  stream: { isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
  colorFlag: boolean,
): boolean {
  if (!colorFlag || (env.NO_COLOR ?? "") !== "") return false;
  const forced = env.FORCE_COLOR ?? "";
  if (forced !== "") return forced !== "0";
  return stream.isTTY === true && env.TERM !== "dumb";
}
