import { describe, expect, it } from "vitest";
import type { HeartbeatAnswer } from "../shared/api/worker-schemas.ts";
import { sayFarewell } from "./farewell.ts";

const isOpen = () => true;

/** Heartbeats that are answered so, one after the other; undefined is none. */
function answering(...answers: (Pick<HeartbeatAnswer, "stay"> | undefined)[]) {
  const said: unknown[] = [];
  const beat = async (_deadlineMs?: number, last?: unknown): Promise<HeartbeatAnswer | undefined> => {
    said.push(last);
    const answer = answers.shift();
    return answer && { drain: false, attempts: [], ...answer };
  };
  return { said, heartbeats: { beat, stop: () => undefined } };
}

describe("a farewell", () => {
  it("is repeated until it is answered where it asks whether the worker stays", async () => {
    const { said, heartbeats } = answering(undefined, { stay: true });
    expect(await sayFarewell(heartbeats, { isQuestion: true, isOpen })).toBe(true);
    expect(said).toEqual([{ mayStay: true }, { mayStay: true }]);
  });

  it("asks no more once something else ends the worker", async () => {
    const { said, heartbeats } = answering(undefined, { stay: true });
    const asked = sayFarewell(heartbeats, { isQuestion: true, isOpen: () => false });
    await expect(asked).rejects.toThrow("did not answer");
    expect(said).toHaveLength(1);
  });

  it("is said once where it is final", async () => {
    const { said, heartbeats } = answering(undefined);
    await expect(sayFarewell(heartbeats, { isQuestion: false, isOpen })).rejects.toThrow("did not answer");
    expect(said).toEqual([undefined]);
  });
});
