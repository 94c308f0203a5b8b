import type { AttemptResult, ResultAnswer } from "../../shared/api/worker-schemas.ts";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import type { Logger } from "../../shared/log.ts";
import { ControlPlaneError } from "../control-plane-call.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import { messageOf, retryWithBackoff } from "../retry.ts";
import type { Lease } from "./lease.ts";

const resultDeadlineMs = 10_000;

/** What the control plane made of a report; `unheard`: it was not told. */
export type ReportAnswer = ResultAnswer | { status: "unheard" };

/**
 * Writes the manifest: from here on the attempt has ended, whoever hears of it. Where this very attempt is committed
 * already (a lost answer, a twin that was taken for dead) the manifest that stands is returned.
 */
export async function commitManifest(
  objects: ObjectStore,
  manifest: Manifest,
  options: { signal: AbortSignal; deadlineMs: number; log: Logger },
): Promise<Manifest> {
  const key = manifestKey(manifest.jobId, manifest.task, manifest.attempt);
  const retry = { signal: options.signal, maxElapsedMs: options.deadlineMs };
  const body = JSON.stringify(manifest);
  const first = await retryWithBackoff(() => objects.putIfAbsent(key, body, "application/json", options.signal), retry);
  if (first) return manifest;
  const stored = await retryWithBackoff(() => objects.get(key, options.signal), retry);
  if (stored === undefined) throw new Error(`the manifest ${key} exists and cannot be read`);
  const standing = manifestSchema.parse(JSON.parse(Buffer.from(stored).toString("utf8")));
  if (standing.workerId !== manifest.workerId) {
    options.log.warn({ workerId: standing.workerId }, "another worker committed this attempt: its manifest stands");
  }
  return standing;
}

/**
 * Tells the control plane how an attempt ended, until it answers, the lease is lost or the signal says stop. A report
 * under way is not broken off for a lost lease: a heartbeat that overtakes it hears "lost" just because the report was
 * taken, and its answer is the one that counts.
 */
export async function reportResult(
  client: ControlPlaneClient,
  lease: Lease,
  result: AttemptResult["result"],
  options: { signal: AbortSignal; log: Logger },
): Promise<ReportAnswer> {
  const { signal } = options;
  const body = { leaseToken: lease.leaseToken, result };
  try {
    return await retryWithBackoff(
      () => client.reportResult(lease.attemptId, body, { deadlineMs: resultDeadlineMs, signal }),
      {
        signal,
        isRetryable: (error) => !lease.lost.aborted && error instanceof ControlPlaneError && error.retryable,
        onFailure: (error) => options.log.warn({ reason: error.message }, "a result was not taken"),
      },
    );
  } catch (error) {
    // Nothing is lost: who finds the manifest knows the result, and without one the task runs again.
    options.log.error({ reason: messageOf(error) }, "the result could not be reported");
    return lease.lost.aborted ? { status: "lost" } : { status: "unheard" };
  }
}
