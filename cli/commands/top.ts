import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { openFullScreen } from "../terminal/full-screen.ts";
import { Top } from "../top/app.ts";
import { FleetFeed, shownParts } from "../top/fleet-feed.ts";
import { FleetView } from "../top/fleet-view.ts";

/** `sluice top`: pools, workers and jobs on the whole terminal until `q`; with `--json` the overview as it changes. */
export function top(context: Context): Promise<number> {
  return context.json ? printOverview(context) : showOverview(context);
}

/** One line for each part of the overview, and again whenever it has changed. */
function printOverview(context: Context): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    for await (const change of context.api().followOverview(undefined, { signal })) {
      context.writeJson(change);
      // The reader may have had enough (`| head`).
      if (context.out.closed) break;
    }
    return exitCodes.completed;
  });
}

async function showOverview(context: Context): Promise<number> {
  const { out, runtime } = context;
  requireTerminal(context);
  // Nothing else may write to the screen.
  const api = context.api({ tellsRetries: false });
  // The first contact tells what is wrong with it as every command does.
  const first = await withInterrupt(runtime, (signal) => api.getOverview(shownParts, { signal }));
  const now = () => runtime.now();
  const top = new Top({
    api,
    now,
    style: out.style,
    size: () => ({ columns: out.columns, rows: out.rows }),
    draw: (lines) => terminal.draw(lines),
    suspend: () => terminal.suspend(),
  });
  const feed = new FleetFeed({
    api,
    first,
    now,
    onChange: () => view.noteChange(),
    onFailure: (error) => top.fail(error),
  });
  const view = new FleetView(top, feed);
  const stopListening = runtime.onInterrupt(() => top.interrupt());
  const terminal = openFullScreen({
    runtime,
    out,
    onKey: (key) => top.press(key),
    onRedraw: () => top.drawNow(),
    onGone: () => top.interrupt(),
  });
  try {
    top.open(view);
    const end = await top.ended;
    if (end.kind === "failed") throw end.error;
    return end.kind === "quit" ? exitCodes.completed : exitCodes.interrupted;
  } finally {
    terminal.close();
    stopListening();
  }
}

function requireTerminal({ out, runtime, hint }: Context): void {
  const isTerminal = out.isTty && runtime.stdin.isTTY === true;
  if (isTerminal && runtime.env.TERM !== "dumb") return;
  const needs = isTerminal ? "a terminal that can do more than TERM=dumb" : "a terminal for its input and its output";
  throw new CliError(exitCodes.usage, `sluice top needs ${needs}`, {
    details: [`for programs: ${["top --json", "ps --json", "workers --json"].map(hint).join(", ")}`],
  });
}
