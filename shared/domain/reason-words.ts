import type { ReasonCode } from "./reason.ts";

const words: Readonly<Record<ReasonCode, string>> = {
  exit_code: "a step failed",
  timed_out: "timed out",
  out_of_memory: "out of memory",
  image_unavailable: "image unavailable",
  service_unhealthy: "service unhealthy",
  secret_missing: "secret missing",
  upload_failed: "upload failed",
  worker_lost: "worker lost",
  spot_interrupted: "spot interrupted",
  drained: "worker drained",
  cancelled: "cancelled",
  dependency_failed: "needed task failed",
  dead_lettered: "dead-lettered",
  internal: "internal error",
};

/** A reason's code in a few words, for lists and headings. */
export function nameReason(code: ReasonCode): string {
  return words[code];
}
