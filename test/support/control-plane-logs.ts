import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { formatLogChunkName, serviceLogPrefix, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { packLogChunk } from "../../shared/log-chunk.ts";
import type { ControlPlane } from "./control-plane.ts";

interface StepCounters {
  sequence: number;
  lines: number;
  bytes: number;
}

/** Writes chunks of logs as a worker does. */
export function createShipper({ clock, deps }: ControlPlane, claimed: ClaimedTask) {
  const counters = new Map<number | string, StepCounters>();
  return {
    /** `owner` is the number of a step or the name of a service. */
    async ship(
      owner: number | string,
      texts: readonly string[],
      stream: "stdout" | "stderr" = "stdout",
    ): Promise<void> {
      const at = counters.get(owner) ?? { sequence: 0, lines: 0, bytes: 0 };
      const text = Buffer.from(texts.map((text) => `${text}\n`).join(""));
      const lines = texts.length;
      const bytes = text.length;
      const runs = [{ atMs: clock.now(), stream, partial: false, lines, bytes }];
      const name = formatLogChunkName({
        sequence: at.sequence,
        lastSequence: at.sequence,
        firstLine: at.lines,
        lines,
        firstByte: at.bytes,
        bytes,
        firstAtMs: clock.now(),
      });
      const { jobId, task, attempt } = claimed;
      const prefix =
        typeof owner === "number"
          ? stepLogPrefix(jobId, task, attempt, owner)
          : serviceLogPrefix(jobId, task, attempt, owner);
      await deps.objects.put(prefix + name, await packLogChunk({ text, runs }), "application/zstd");
      counters.set(owner, {
        sequence: at.sequence + 1,
        lines: at.lines + lines,
        bytes: at.bytes + bytes,
      });
    },
  };
}
