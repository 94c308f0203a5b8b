import type { HeartbeatLoop } from "./heartbeat.ts";
import { retryWithBackoff } from "./retry.ts";

/** The last words to the control plane are not worth waiting for. */
export const farewellDeadlineMs = 1_000;
/** Whether the worker stays is: an `undrain` may have been promised already. As long as a cold start takes. */
const questionDeadlineMs = 5_000;

/**
 * The last heartbeat of a worker; throws where it is not answered. With `isQuestion` it holds only if nobody has taken
 * the drain back meanwhile: then it is repeated as long as `isOpen`, for it changes nothing to ask twice.
 */
export async function sayFarewell(
  heartbeats: Pick<HeartbeatLoop, "beat" | "stop">,
  { isQuestion, isOpen }: { isQuestion: boolean; isOpen: () => boolean },
): Promise<boolean> {
  heartbeats.stop();
  const say = async () => {
    const answer = await (isQuestion
      ? heartbeats.beat(questionDeadlineMs, { mayStay: true })
      : heartbeats.beat(farewellDeadlineMs));
    if (answer === undefined) throw new Error("the control plane did not answer");
    return answer.stay ?? false;
  };
  if (!isQuestion) return say();
  return retryWithBackoff(say, { maxElapsedMs: questionDeadlineMs, isRetryable: isOpen });
}
