import { createCipheriv, createDecipheriv, createHmac, randomBytes, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../domain/errors.ts";
import type { SecretInfo, SecretStore } from "./secret-store.ts";

/** The key has a file of its own, so that the secrets' folder alone (a backup, a copy) tells nothing. */
const keyFileName = "secrets.key";
const entryFolderName = "secrets";
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const entrySuffix = ".secret";
/** Entries that are read at the same time. */
const parallelReads = 16;

interface Entry extends SecretInfo {
  value: string;
}

/**
 * Secrets in files below a folder, readable by their owner only: one file for each, encrypted by AES-256-GCM. A file
 * is called by a keyed hash of the secret's name, so that no name can lead out of the folder or be read from it, and
 * is replaced as a whole, so that a reader (or a crash) meets the old value or the new one.
 */
export function createLocalSecretStore(folder: string): SecretStore {
  const entryFolder = join(folder, entryFolderName);
  let opening: Promise<Buffer> | undefined;
  const openKey = (): Promise<Buffer> => {
    opening ??= openStore(folder).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  const readEntry = async (name: string): Promise<Entry | undefined> => {
    const key = await openKey();
    return readEntryFile(entryFolder, entryFileName(key, name), key);
  };
  return {
    async get(names) {
      const entries = await readEach([...new Set(names)], readEntry);
      return new Map(entries.map(({ name, value }) => [name, value]));
    },
    async put(secret, value) {
      const key = await openKey();
      const file = entryFileName(key, secret.name);
      await replaceFile(join(entryFolder, file), encrypt(key, file, JSON.stringify({ ...secret, value })));
      await syncFolder(entryFolder);
    },
    async describe(name) {
      const entry = await readEntry(name);
      return entry && toInfo(entry);
    },
    async list({ limit, cursor = "" }) {
      const key = await openKey();
      const files = (await readdir(entryFolder)).filter((file) => file.endsWith(entrySuffix) && file > cursor).sort();
      const page = files.slice(0, limit);
      const entries = await readEach(page, (file) => readEntryFile(entryFolder, file, key));
      const last = page.at(-1);
      return {
        secrets: entries.map(toInfo),
        ...(files.length > page.length && last !== undefined ? { cursor: last } : {}),
      };
    },
    async delete(name) {
      const key = await openKey();
      try {
        await unlink(join(entryFolder, entryFileName(key, name)));
      } catch (error) {
        if (codeOf(error) === "ENOENT") return false;
        throw error;
      }
      await syncFolder(entryFolder);
      return true;
    },
  };
}

/** Makes the folder and the key where they are not there yet; answers the key. */
async function openStore(folder: string): Promise<Buffer> {
  await mkdir(join(folder, entryFolderName), { recursive: true, mode: 0o700 });
  const keyFile = join(folder, keyFileName);
  const key = (await readIfThere(keyFile)) ?? (await createKey(folder, keyFile));
  if (key.length === keyBytes) return key;
  throw new AppError("internal", `${keyFile} is damaged: without it the secrets kept here cannot be read`);
}

/** Of two processes that make a key at the same time one wins: a link never replaces a file. */
async function createKey(folder: string, keyFile: string): Promise<Buffer> {
  const draft = join(folder, `${keyFileName}.${randomUUID()}.tmp`);
  await writeThrough(draft, randomBytes(keyBytes));
  try {
    await link(draft, keyFile);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(folder);
  return readFile(keyFile);
}

function entryFileName(key: Buffer, name: string): string {
  return `${createHmac("sha256", key).update(name).digest("hex")}${entrySuffix}`;
}

/** The file's name is authenticated too: one entry cannot be put in the place of another. */
function encrypt(key: Buffer, file: string, text: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(file));
  const content = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), content]);
}

async function readEntryFile(entryFolder: string, file: string, key: Buffer): Promise<Entry | undefined> {
  const path = join(entryFolder, file);
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  try {
    const nonce = bytes.subarray(0, nonceBytes);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(file));
    decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
    const content = bytes.subarray(nonceBytes + tagBytes);
    return JSON.parse(Buffer.concat([decipher.update(content), decipher.final()]).toString("utf8")) as Entry;
  } catch (error) {
    const message = `a secret cannot be read: ${path} is damaged or was written with another key; set it again`;
    throw new AppError("internal", message, { cause: error });
  }
}

async function readEach<T>(items: readonly T[], read: (item: T) => Promise<Entry | undefined>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let start = 0; start < items.length; start += parallelReads) {
    const batch = await Promise.all(items.slice(start, start + parallelReads).map(read));
    for (const entry of batch) if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function toInfo({ name, updatedAt, updatedBy }: Entry): SecretInfo {
  return { name, updatedAt, ...(updatedBy === undefined ? {} : { updatedBy }) };
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function replaceFile(path: string, content: Buffer): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    await writeThrough(draft, content);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function writeThrough(path: string, content: Buffer): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes what was renamed or removed last through a power failure. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
