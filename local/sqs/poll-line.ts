import type { Clock } from "./clock.ts";

/** What a receive asks for, apart from how the answer is written. */
export type ReceiveRequest = { readonly maxMessages: number; readonly visibilityTimeoutMs: number };

/** A receive that waits for messages. It is answered exactly once. */
export type WaitingPoll<Answer> = {
  readonly request: ReceiveRequest;
  readonly answer: (answer: Answer) => void;
};

/** The client's end of a request: who waits for a poll may leave before the answer. */
export type ClientConnection = {
  /** Calls back once when the client goes away; the returned function takes that back. */
  onGone(callback: () => void): () => void;
  readonly isGone: boolean;
};

/** The polls that wait at one queue, longest waiting first. Each has its own timer, none blocks another. */
export class PollLine<Answer> {
  readonly #clock: Clock;
  readonly #polls = new Set<WaitingPoll<Answer>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get first(): WaitingPoll<Answer> | undefined {
    for (const poll of this.#polls) return poll;
    return undefined;
  }

  /** Waits for an answer; `empty` is the answer when the time is over, or the client gone. */
  wait(request: ReceiveRequest, waitMs: number, client: ClientConnection, empty: Answer): Promise<Answer> {
    if (client.isGone) return Promise.resolve(empty);
    return new Promise((resolve) => {
      const answer = (result: Answer) => {
        // Out of the line first: a poll that was answered, timed out or abandoned can never be given messages.
        this.#polls.delete(poll);
        cancelTimer();
        forgetClient();
        resolve(result);
      };
      const poll: WaitingPoll<Answer> = { request, answer };
      this.#polls.add(poll);
      const cancelTimer = this.#clock.startTimer(() => answer(empty), waitMs);
      const forgetClient = client.onGone(() => answer(empty));
    });
  }

  /** Answers all that wait, because the queue or the server goes away. */
  answerAll(answer: Answer): void {
    for (const poll of [...this.#polls]) poll.answer(answer);
  }
}
