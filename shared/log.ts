import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

/**
 * A structured logger: one JSON object a line with time, level, `service` and message, on stdout unless told otherwise.
 * A `mixin` adds to every line what it answers at that moment.
 */
export function createLogger(
  service: string,
  options: { level?: string; destination?: DestinationStream; mixin?: () => object } = {},
): Logger {
  return pino(
    {
      level: options.level ?? "info",
      base: { service },
      messageKey: "message",
      ...(options.mixin ? { mixin: options.mixin } : {}),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? openStdout(),
  );
}

/** Where logs go unless told otherwise: stdout, each line written before the next one. */
export function openStdout(): DestinationStream {
  return pino.destination({ fd: 1, sync: true });
}
