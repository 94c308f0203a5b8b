import * as z from "zod";

/** A line of a log. */
export const logLineSchema = z.object({
  /** 0-based number of the line in the log of its step or service. */
  line: z.number().int().nonnegative(),
  /** Absent in the log of a service. */
  step: z.number().int().min(1).optional(),
  /** Absent in the log of a step. */
  service: z.string().optional(),
  at: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
  /** True where the line was not ended by a newline. */
  partial: z.boolean().optional(),
});
export type ApiLogLine = z.infer<typeof logLineSchema>;

/** A page of log lines. `cursor` resumes after the last of them; `complete` says that the attempt will write no more. */
export const logPageSchema = z
  .object({
    attempt: z.number().int(),
    lines: z.array(logLineSchema),
    cursor: z.string(),
    complete: z.boolean(),
    /** The attempt was lost with its worker: what it printed last was never stored. */
    endLost: z.literal(true).optional(),
  })
  .meta({ id: "LogPage" });
export type LogPage = z.infer<typeof logPageSchema>;

/** A piece of a log as it is stored, to be fetched without passing through the API. */
export const logChunkSchema = z.object({
  /** A link to fetch it by; `shared/log-chunk.ts` reads what it holds. */
  url: z.string(),
  /** Absent in the log of a service. */
  step: z.number().int().min(1).optional(),
  /** Absent in the log of a step. */
  service: z.string().optional(),
  /** Number of its first line in the log of its step or service, from 0. */
  firstLine: z.number().int().nonnegative(),
  lines: z.number().int().nonnegative(),
  /** Of its text. */
  bytes: z.number().int().nonnegative(),
  /** Time of its first line. */
  firstAt: z.string(),
  /** Lines at its beginning, and at its end, that were not asked for. */
  skip: z.number().int().nonnegative(),
  drop: z.number().int().nonnegative(),
  /** Asks for the chunks from this one on, for new links. */
  cursor: z.string(),
});
export type ApiLogChunk = z.infer<typeof logChunkSchema>;

/** A page of the chunks of a log; where `more` is false there are no further ones now. */
export const logChunkPageSchema = z
  .object({
    attempt: z.number().int(),
    chunks: z.array(logChunkSchema),
    cursor: z.string(),
    more: z.boolean(),
    /** When the links end. */
    expiresAt: z.string(),
  })
  .meta({ id: "LogChunkPage" });
export type LogChunkPage = z.infer<typeof logChunkPageSchema>;
