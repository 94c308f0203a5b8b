import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeFolder } from "../../shared/make-folder.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { ignoreMissing } from "./missing-file.ts";

const recordSchema = z.object({ name: z.string(), imageId: z.string(), bytes: z.number() });

/** An image that a worker brought to its daemon. Images that were there anyway have no record. */
export interface ImageRecord extends z.infer<typeof recordSchema> {
  lastUsedMs: number;
  isHeld: boolean;
}

/**
 * Which images workers have brought to a daemon, and when each was last used: a file for each, with that time as its
 * own. Workers of one daemon share the folder. What somebody else brought is not theirs to remove.
 */
export class ImageLedger {
  readonly #folder: string;
  readonly #holds = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Keeps an image from being removed until the answered function is called. */
  hold(name: string): () => void {
    this.#holds.set(name, (this.#holds.get(name) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#holds.get(name) ?? 1) - 1;
      if (left === 0) this.#holds.delete(name);
      else this.#holds.set(name, left);
    };
  }

  /** Notes that an image was brought; `imageId` is the daemon's. */
  async add(record: { name: string; imageId: string; bytes: number }): Promise<void> {
    await makeFolder(this.#folder, 0o700);
    const file = this.#fileOf(record.name);
    const part = `${file}.${randomUUID()}`;
    await writeFile(part, JSON.stringify(record), { mode: 0o600 });
    await rename(part, file);
  }

  /** Notes that an image is used, where it has a record. */
  async touch(name: string): Promise<void> {
    const now = new Date();
    await utimes(this.#fileOf(name), now, now).catch(ignoreMissing);
  }

  /** Notes for other workers that what is held here is used. */
  async touchHeld(): Promise<void> {
    await Promise.all([...this.#holds.keys()].map((name) => this.touch(name)));
  }

  async forget(name: string): Promise<void> {
    await rm(this.#fileOf(name), { force: true });
  }

  async list(): Promise<ImageRecord[]> {
    const names = (await readdir(this.#folder).catch(ignoreMissing)) ?? [];
    const records = await Promise.all(
      names.filter((name) => name.endsWith(".json")).map((name) => this.#read(join(this.#folder, name))),
    );
    return records.filter((record) => record !== undefined);
  }

  isHeld(name: string): boolean {
    return this.#holds.has(name);
  }

  async #read(file: string): Promise<ImageRecord | undefined> {
    const [text, stats] = await Promise.all([
      readFile(file, "utf8").catch(ignoreMissing),
      stat(file).catch(ignoreMissing),
    ]);
    if (text === undefined || stats === undefined) return undefined;
    const record = recordSchema.safeParse(parseJson(text));
    if (record.success) {
      return { ...record.data, lastUsedMs: stats.mtimeMs, isHeld: this.isHeld(record.data.name) };
    }
    // Whatever wrote it, nothing can be done with it.
    await rm(file, { force: true });
    return undefined;
  }

  #fileOf(name: string): string {
    return join(this.#folder, `${createHash("sha256").update(name).digest("hex").slice(0, 32)}.json`);
  }
}
