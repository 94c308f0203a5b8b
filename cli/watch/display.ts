import type { JobEvent } from "../../events/index.ts";
import type { StreamStatus } from "../../shared/api-client/index.ts";
import type { JobView } from "../../shared/api-client/job-view.ts";
import { formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { countEnded } from "../../shared/domain/task-counts.ts";
import type { Context } from "../context.ts";
import { oneLine } from "../terminal/one-line.ts";
import { describeEvent, everyEventTasks } from "./event-line.ts";
import { renderView } from "./render-view.ts";

/** Shows how a job goes while it goes. */
export interface Display {
  /** Whether it wants the events before the watch began too. */
  readonly wantsPast: "all" | "short" | "none";
  /** An event has come and is in the view. */
  showEvent(event: JobEvent): void;
  showConnection(status: StreamStatus): void;
  /** A word to the user in between. */
  showNote(text: string): void;
  /** Ends the display; nothing of the live view stays. */
  stop(): void;
}

/** Redraws happen at most this often, whatever comes in. */
const frameMs = 100;
/** Elapsed times move on this often when nothing comes in. */
const tickMs = 1_000;

/** The live view: redrawn in place on the terminal of stderr. */
export async function createLiveDisplay(
  context: Context,
  view: JobView,
  logUpdate: Promise<typeof import("log-update")>,
): Promise<Display> {
  const { createLogUpdate } = await logUpdate;
  const { err, runtime } = context;
  const stream = runtime.stderrStream;
  const update = createLogUpdate(stream);
  let connection: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastFrameMs = 0;

  function draw(): void {
    clearTimeout(timer);
    lastFrameMs = performance.now();
    // One column and one line less than there are: a full last line would make some terminals scroll.
    const room = { width: err.columns - 1, height: err.rows - 2 };
    update(renderView(view, { ...room, nowMs: runtime.now(), style: err.style, connection }).join("\n"));
    timer = setTimeout(draw, tickMs);
  }
  function drawSoon(): void {
    clearTimeout(timer);
    timer = setTimeout(draw, Math.max(0, frameMs - (performance.now() - lastFrameMs)));
  }
  draw();
  return {
    wantsPast: "none",
    showEvent: drawSoon,
    showConnection: (status) => {
      connection = describeConnection(status);
      drawSoon();
    },
    showNote: (text) => {
      update.clear();
      err.write(`${text}\n`);
      draw();
    },
    stop: () => {
      clearTimeout(timer);
      update.clear();
      update.done();
    },
  };
}

/** One line for each event of interest, on stderr; for large jobs also where the job stands, now and then. */
export function createLineDisplay(context: Context, view: JobView, tellsSubmit: boolean): Display {
  const { err } = context;
  let toldPercent = 0;
  let isLost = false;
  return {
    wantsPast: "short",
    showEvent: (event) => {
      if (event.type === "job.submitted" && !tellsSubmit) return;
      const line = describeEvent(event, view, err.style);
      if (line !== undefined) err.write(`${line}\n`);
      if (view.total <= everyEventTasks) return;
      const ended = countEnded(view.counts);
      const percent = Math.floor((ended / view.total) * 10) * 10;
      if (percent <= toldPercent) return;
      toldPercent = percent;
      err.write(`${view.job}: ${formatNumber(ended)} of ${formatNumber(view.total)} tasks ended\n`);
    },
    showConnection: (status) => {
      // One line when it is lost and one when it is back, not one for each try.
      if (status.status === "lost" && !isLost)
        err.write(`connection lost (${oneLine(status.error.message)}); trying again\n`);
      if (status.status === "connected" && isLost) err.write("connected again\n");
      isLost = status.status === "lost";
    },
    showNote: (text) => err.write(`${text}\n`),
    stop: () => undefined,
  };
}

/** Events as they are, one JSON object a line, on stdout. */
export function createJsonDisplay(context: Context): Display {
  return {
    wantsPast: "all",
    showEvent: (event) => context.writeJson(event),
    showConnection: () => undefined,
    showNote: (text) => context.err.write(`${text}\n`),
    stop: () => undefined,
  };
}

/** Shows nothing but notes. */
export function createQuietDisplay(context: Context): Display {
  return {
    wantsPast: "none",
    showEvent: () => undefined,
    showConnection: () => undefined,
    showNote: (text) => context.err.write(`${text}\n`),
    stop: () => undefined,
  };
}

function describeConnection(status: StreamStatus): string | undefined {
  if (status.status === "connected") return undefined;
  const since = status.lostForMs < 1_000 ? "" : ` for ${formatDuration(status.lostForMs)}`;
  return `connection lost${since} (${oneLine(status.error.message)}); trying again`;
}
