import { zstdCompressSync } from "node:zlib";
import type { ClaimedTask } from "../../shared/api/schemas.ts";
import { formatLogLine } from "../../shared/domain/log-line.ts";
import { formatLogChunkName, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import type { ControlPlane } from "./control-plane.ts";

interface StepCounters {
  sequence: number;
  lines: number;
  bytes: number;
}

/** Writes chunks of logs as a worker does. */
export function createShipper({ clock, deps }: ControlPlane, claimed: ClaimedTask) {
  const counters = new Map<number, StepCounters>();
  return {
    async ship(step: number, texts: readonly string[], stream: "stdout" | "stderr" = "stdout"): Promise<void> {
      const at = counters.get(step) ?? { sequence: 0, lines: 0, bytes: 0 };
      const content = texts.map((text) => formatLogLine({ atMs: clock.now(), stream, text, partial: false })).join("");
      const name = formatLogChunkName({
        sequence: at.sequence,
        firstLine: at.lines,
        lines: texts.length,
        firstByte: at.bytes,
        bytes: content.length,
      });
      const key = stepLogPrefix(claimed.jobId, claimed.task, claimed.attempt, step) + name;
      await deps.objects.put(key, zstdCompressSync(content), "application/zstd");
      counters.set(step, {
        sequence: at.sequence + 1,
        lines: at.lines + texts.length,
        bytes: at.bytes + content.length,
      });
    },
  };
}
