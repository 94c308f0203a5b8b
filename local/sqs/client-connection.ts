import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ClientConnection } from "./poll-line.ts";

/** Watches the client's end of a request. */
export function watchClient(request: IncomingMessage, response: ServerResponse): ClientConnection {
  return {
    get isGone() {
      return response.destroyed || request.socket.destroyed;
    },
    onGone(callback) {
      response.once("close", callback);
      return () => response.off("close", callback);
    },
  };
}

/**
 * Sees to it that messages are not lost with an answer that nobody reads. A client can leave at any moment, also between
 * the moment its poll is given messages and the moment the answer is written.
 */
export class AnswerGuard {
  /** What to do if it turns out that the last answer on a connection was not read. */
  readonly #unread = new WeakMap<Socket, () => void>();

  /** Begins to watch a connection. */
  attach(socket: Socket): void {
    // A reset means that the client closed without having read all that was sent; who read it first just closes.
    socket.on("error", () => this.#takeBack(socket));
  }

  /** A further request on the connection proves that the answer before it was read. */
  noteRequest(socket: Socket): void {
    this.#unread.delete(socket);
  }

  /** Writes an answer that must not get lost; calls `takeBack`, once at most, if it does. */
  async send(
    response: ServerResponse,
    client: ClientConnection,
    write: () => void,
    takeBack: () => void,
  ): Promise<void> {
    // One turn of the event loop, so that a hang-up which has already arrived is seen before the answer is on its way.
    await nextTurn();
    const { socket } = response;
    if (client.isGone || socket === null) {
      takeBack();
      return;
    }
    this.#unread.set(socket, takeBack);
    response.once("close", () => {
      if (!response.writableFinished) this.#takeBack(socket);
    });
    write();
  }

  #takeBack(socket: Socket): void {
    const takeBack = this.#unread.get(socket);
    this.#unread.delete(socket);
    takeBack?.();
  }
}
