import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import type { CancelRequest } from "../../shared/repository/items.ts";

/** How a task ends that was cancelled before it could end by itself: by its job's timeout, or by wish. */
export function outcomeOfCancel(cancel: Pick<CancelRequest, "cause" | "detail">): {
  state: "aborted" | "timed_out";
  reason: Reason;
} {
  return cancel.cause === "job_timeout"
    ? { state: "timed_out", reason: reasonFor("timed_out", cancel.detail) }
    : { state: "aborted", reason: reasonFor("cancelled", cancel.detail) };
}
