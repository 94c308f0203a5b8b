import { isPassingFault } from "../../shared/clients/object-store.ts";
import type { Artifact } from "../../shared/domain/manifest.ts";
import type { Logger } from "../../shared/log.ts";
import { type ArtifactOptions, storeArtifact } from "../artifacts/artifact.ts";
import { tellProblems, UnreadableOutput } from "../artifacts/output-problem.ts";
import { messageOf, retryWithBackoff } from "../retry.ts";
import type { UploadProblem } from "./upload-problem.ts";

/** How many times a whole artifact is put together and sent again that the bucket refused; an outage is waited out. */
const artifactRetries = 2;

/** What was kept of a task's output, and what is wrong with it. */
export interface KeptArtifact {
  artifacts: Artifact[];
  problems: UploadProblem[];
}

/**
 * Stores a task's output at its end, and tells what could not be kept. What cannot be read is the task's own doing; the
 * rest is kept all the same. Never throws.
 */
export async function keepArtifact(
  options: ArtifactOptions & {
    deadlineMs: number;
    /** Makes output of other users readable; called where some is not, and then everything is stored again. */
    takeOutput?: (() => Promise<void>) | undefined;
    log: Logger;
  },
): Promise<KeptArtifact> {
  const { signal, deadlineMs, takeOutput, log } = options;
  let refusals = 0;
  try {
    const onUnlisted = (error: Error) => log.warn({ reason: error.message }, "the list of an artifact was not stored");
    const store = () =>
      retryWithBackoff(() => storeArtifact({ ...options, onUnlisted }), {
        signal,
        maxElapsedMs: deadlineMs,
        firstDelayMs: 500,
        isRetryable: (error) =>
          !(error instanceof UnreadableOutput) && (isPassingFault(error) || ++refusals <= artifactRetries),
        onFailure: (error) => log.warn({ reason: error.message }, "an artifact was not stored"),
      });
    let stored = await store();
    if (takeOutput !== undefined && stored.problems.some(({ kind }) => kind === "unreadable")) {
      const isTaken = await takeOutput().then(
        () => true,
        (error: unknown) => {
          // What could be read is stored; that the rest is missing is told below.
          log.warn({ reason: messageOf(error) }, "unreadable output could not be taken over");
          return false;
        },
      );
      if (isTaken) stored = await store();
    }
    const { artifact, problems } = stored;
    for (const problem of problems.slice(0, 100)) log.warn(problem, "output is missing in an artifact");
    const unreadable = tellProblems(problems.filter(({ kind }) => kind === "unreadable"));
    return {
      artifacts: artifact === undefined ? [] : [artifact],
      problems: unreadable === undefined ? [] : [{ detail: `its artifact lacks ${unreadable}`, fault: "user" }],
    };
  } catch (error) {
    const fault = error instanceof UnreadableOutput ? "user" : "infrastructure";
    return { artifacts: [], problems: [{ detail: `its artifact could not be stored: ${messageOf(error)}`, fault }] };
  }
}
