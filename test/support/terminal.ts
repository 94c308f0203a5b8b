import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { eventually } from "./eventually.ts";

const screenDeadlineMs = 30_000;
/** A terminal that its test cannot close any more ends by itself. */
const longestSeconds = 300;

/** A real terminal with a shell in it. */
export interface Terminal {
  /** Its visible text. */
  screen(): string;
  /** Types a line into the shell. */
  type(line: string): void;
  /** Presses keys by tmux's names of them (`j`, `Enter`, `C-c`). */
  press(...keys: string[]): void;
  /** Waits until the screen shows something that fits. */
  until(pattern: RegExp): Promise<void>;
  /** Whether a program has taken over the screen, and whether the cursor can be seen. */
  modes(): { alternate: boolean; cursor: boolean };
  resize(columns: number, rows: number): void;
  close(): Promise<void>;
}

/** Whether the test can have a terminal. Without tmux the test is skipped, loudly; in CI that is a failure. */
export function needTerminal(context: TestContext): boolean {
  if (spawnSync("tmux", ["-V"]).status === 0) return true;
  if (process.env.CI) throw new Error("this test needs tmux");
  process.stderr.write(`SKIPPED without tmux: ${context.task.name}\n`);
  context.skip();
  return false;
}

/** Opens a terminal of its own, in this project's folder. */
export async function openTerminal(
  size: { columns: number; rows: number },
  env: NodeJS.ProcessEnv = {},
): Promise<Terminal> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-terminal-"));
  const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, TMUX: _tmux, ...inherited } = process.env;
  const tmux = (...args: string[]): string => {
    const options = ["-S", join(folder, "socket"), "-f", "/dev/null", "-u"];
    const { stdout, stderr, status } = spawnSync("tmux", [...options, ...args], {
      encoding: "utf8",
      env: { ...inherited, LC_ALL: "C.UTF-8", PS1: "$ ", ...env },
    });
    if (status !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
    return stdout;
  };
  const shell = `timeout --foreground ${longestSeconds} bash --norc --noprofile`;
  tmux("new-session", "-d", "-x", `${size.columns}`, "-y", `${size.rows}`, shell);
  const screen = () => tmux("capture-pane", "-p");
  return {
    screen,
    type: (line) => {
      tmux("send-keys", "-l", line);
      tmux("send-keys", "Enter");
    },
    press: (...keys) => {
      tmux("send-keys", ...keys);
    },
    until: async (pattern) => {
      let last = "";
      const isThere = () => {
        last = screen();
        return pattern.test(last);
      };
      await eventually(isThere, `${pattern} on the screen`, screenDeadlineMs).catch((error: unknown) => {
        throw new Error(`the screen does not show ${pattern} but\n${last}`, { cause: error });
      });
    },
    modes: () => {
      const [alternate, cursor] = tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").trim().split(" ");
      return { alternate: alternate === "1", cursor: cursor === "1" };
    },
    resize: (columns, rows) => {
      tmux("resize-window", "-x", `${columns}`, "-y", `${rows}`);
    },
    close: async () => {
      tmux("kill-server");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
