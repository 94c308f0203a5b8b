/** How a check went: a warning is something to know of, a failure something to mend. */
export interface Finding {
  check: string;
  status: "ok" | "warning" | "failed" | "skipped";
  detail: string;
}
