import { connect, type OnReadOpts, type Socket } from "node:net";
import type { DockerAddress } from "../../docker-address.ts";
import { withDeadline } from "../../retry.ts";
import { readAttachAnswer } from "./attach-answer.ts";

const attachDeadlineMs = 60_000;
/** Reads as much as the daemon's socket holds at most on Linux, about. */
const readBytes = 128 * 1024;

/** Takes bytes that are overwritten once it has returned; a promise means that it wants no more before. */
export type BytesTaker = (bytes: Buffer) => Promise<unknown> | undefined;

/**
 * The output of a container as the daemon sends it. Everything is read into one buffer: of a step in full flow the streams
 * of Node would allocate as much as it prints, and collecting that costs more than all that is done with it.
 */
export class AttachedOutput {
  readonly #socket: Socket;
  readonly #closed: Promise<Error | undefined>;
  #take: BytesTaker | undefined;
  /** What came before somebody read. */
  #early: Buffer[] = [];
  #fault: Error | undefined;

  /** Takes a socket over which the daemon sends output from now on, but for what `start` has passed on by `receive`. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        const isWhole = socket.readableEnded && this.#fault === undefined;
        resolve(isWhole ? undefined : (this.#fault ?? new Error("the connection was closed before the end")));
      });
    });
    socket.on("error", (error) => {
      this.#fault ??= error;
    });
  }

  /** Called with each read of the socket; false asks it to read no more for now. */
  receive(bytes: Buffer): boolean {
    if (this.#take === undefined) {
      this.#early.push(Buffer.from(bytes));
      return false;
    }
    return this.#give(bytes, this.#take);
  }

  /** Reads it, no faster than it is taken, to its end; resolves with what broke it, if anything did. */
  async read(take: BytesTaker): Promise<Error | undefined> {
    this.#take = take;
    const early = this.#early.splice(0);
    if (early.length === 0 || this.#give(Buffer.concat(early), take)) this.#socket.resume();
    return this.#closed;
  }

  /** Ends the connection; what has not been read is lost. */
  destroy(): void {
    this.#socket.destroy();
  }

  #give(bytes: Buffer, take: BytesTaker): boolean {
    try {
      const taken = take(bytes);
      taken?.then(
        () => this.#socket.resume(),
        (error: unknown) => this.#fail(error),
      );
      return taken === undefined;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  #fail(error: unknown): void {
    this.#fault ??= error instanceof Error ? error : new Error(String(error));
    this.#socket.destroy();
  }
}

/**
 * Attaches to the output of a container that was created. Before its start: with no log driver, what is written before
 * somebody listens is gone. Throws the daemon's refusal as its client does.
 */
export async function attachToOutput(address: DockerAddress, containerId: string): Promise<AttachedOutput> {
  const opened = Promise.withResolvers<AttachedOutput>();
  let output: AttachedOutput | undefined;
  const head: Buffer[] = [];
  const takeHead = (bytes: Buffer): boolean => {
    head.push(Buffer.from(bytes));
    const answer = readAttachAnswer(Buffer.concat(head));
    if (answer.status === "incomplete") return true;
    if (answer.status === "refused") {
      opened.reject(answer.error);
      return false;
    }
    output = new AttachedOutput(socket);
    opened.resolve(output);
    return answer.rest.length === 0 || output.receive(answer.rest);
  };
  const buffer = Buffer.allocUnsafe(readBytes);
  const socket = openSocket(address, {
    buffer,
    callback: (length) => {
      const bytes = buffer.subarray(0, length);
      return output === undefined ? takeHead(bytes) : output.receive(bytes);
    },
  });
  socket.on("error", opened.reject);
  socket.once("close", () => opened.reject(new Error("Docker closed the connection instead of attaching")));
  socket.write(
    `POST /containers/${containerId}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\n` +
      "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n",
  );
  try {
    return await withDeadline(opened.promise, attachDeadlineMs, "attaching to a container");
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function openSocket(address: DockerAddress, onread: OnReadOpts): Socket {
  if (address.kind === "socket") return connect({ path: address.path, onread });
  return connect({ host: address.host, port: address.port, onread });
}
