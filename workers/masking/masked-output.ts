import type { StepOutput } from "../executors/executor.ts";
import type { LogStream } from "../logs/line-cutter.ts";
import type { SecretMatcher } from "./secret-matcher.ts";
import { StreamMasker } from "./stream-masker.ts";

/** Where output goes that has an end. */
export type ClosableOutput = StepOutput & { close: () => void };

/** An output that takes everything with its secrets masked; each stream is masked by itself. */
export function maskOutput(output: ClosableOutput, matcher: SecretMatcher): ClosableOutput {
  if (matcher.isEmpty) return output;
  const maskers: Record<LogStream, StreamMasker> = {
    stdout: new StreamMasker(matcher),
    stderr: new StreamMasker(matcher),
  };
  const pass = (stream: LogStream, shown: Buffer) => (shown.length === 0 ? undefined : output.write(stream, shown));
  return {
    write: (stream, bytes) => pass(stream, maskers[stream].push(bytes)),
    close: () => {
      // Nothing more comes: that the log would like a pause now is of no use to anybody.
      for (const stream of ["stdout", "stderr"] as const) void pass(stream, maskers[stream].end());
      output.close();
    },
  };
}
