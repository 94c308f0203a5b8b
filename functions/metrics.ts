import type { Logger } from "../shared/log.ts";

/** The metrics of the control plane's own, beside those that the platform keeps of functions, queues and table. */
const units = {
  /** From a task's move to its count. */
  FoldLagMs: "Milliseconds",
  /** Stream records with moves to count. */
  FoldedRecords: "Count",
  /** What the sweep found left behind, by kind: near zero in a healthy stage. */
  SweepFolded: "Count",
  SweepRescued: "Count",
  SweepTimedOut: "Count",
  SweepDispatched: "Count",
  /** Workers that the sweep was the first to find silent. */
  SweepWorkersLost: "Count",
  DeadLetters: "Count",
} as const;

export type MetricName = keyof typeof units;

/** Tells values of metrics. A metric costs for each hour in which it is told at all: zeros are left out. */
export type Metrics = (values: Partial<Record<MetricName, number>>) => void;

/**
 * Metrics in CloudWatch's embedded form: a log line that CloudWatch takes its values from, without any call. Where
 * nobody reads it, nothing is written.
 */
export function createMetrics(log: Logger, options: { stage: string; enabled: boolean; now: () => number }): Metrics {
  const { stage, enabled, now } = options;
  if (!enabled) return () => undefined;
  return (values) => {
    const told = Object.entries(values).filter(([, value]) => value > 0);
    if (told.length === 0) return;
    const Metrics = told.map(([Name]) => ({ Name, Unit: units[Name as MetricName] }));
    const CloudWatchMetrics = [{ Namespace: "Sluice", Dimensions: [["stage"]], Metrics }];
    log.info({ _aws: { Timestamp: now(), CloudWatchMetrics }, stage, ...Object.fromEntries(told) }, "metrics");
  };
}
