import { type FileHandle, open, rm } from "node:fs/promises";
import { frameRecord, type SpoolOwner, type SpoolRecord } from "./spool-format.ts";

/**
 * The samples of one running attempt on this machine's disk, until they are in the bucket: one file, only ever appended
 * to, removed when the attempt is over.
 *
 * A sample is handed to the kernel when it is taken: a worker that is killed (`kill -9`) loses none. It is on the disk
 * when the snapshot that holds it is begun, or when the kernel writes it back: a power cut loses what is younger.
 */
export class Spool {
  readonly #path: string;
  readonly #owner: SpoolOwner;
  readonly #onBroken: (error: unknown) => void;
  #file: FileHandle | undefined;
  #last: Promise<void> = Promise.resolve();
  #state: "open" | "broken" | "removed" = "open";
  #bytes = 0;

  /** `onBroken` is told once where the file cannot be written; from then on there is none. */
  constructor(path: string, owner: SpoolOwner, onBroken: (error: unknown) => void) {
    this.#path = path;
    this.#owner = owner;
    this.#onBroken = onBroken;
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends a record; `durable` waits until the disk has it and all before it. Never throws. */
  append(record: SpoolRecord, { durable = false } = {}): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state !== "open") return;
      try {
        this.#file ??= await this.#create();
        await this.#write(frameRecord(record));
        if (durable) await this.#file.datasync();
      } catch (error) {
        this.#state = "broken";
        // What is half written must not be taken for all there was: without the file nobody adopts it.
        await this.#discard();
        this.#onBroken(error);
      }
    });
  }

  /** Removes the file: all of it is where it belongs. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state === "open") await this.#discard();
      this.#state = "removed";
    });
  }

  /** Closes the file and leaves it to who adopts it. */
  leave(): Promise<void> {
    return this.#inTurn(async () => {
      this.#state = "removed";
      await this.#file?.close().catch(this.#onBroken);
      this.#file = undefined;
    });
  }

  async #create(): Promise<FileHandle> {
    this.#file = await open(this.#path, "ax", 0o600);
    await this.#write(frameRecord({ kind: "owner", v: 1, owner: this.#owner }));
    return this.#file;
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#file?.appendFile(bytes);
    this.#bytes += bytes.length;
  }

  async #discard(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    await rm(this.#path, { force: true }).catch(this.#onBroken);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work);
    return this.#last;
  }
}
