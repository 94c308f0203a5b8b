import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { explainDiskErrors, makeFolder } from "./make-folder.ts";
import { StartError } from "./start-error.ts";

/** Format of the data folder; a change that older data does not survive raises it. */
const dataVersion = 2;

/** What a stack keeps between its starts: who may reach it, and where its servers listen. */
export interface StackState {
  version: number;
  adminToken: string;
  workerToken: string;
  accessKeyId: string;
  secretAccessKey: string;
  ports: { dynamodb?: number; sqs?: number; s3?: number };
}

/** The data folder of a local stack, locked for this process. */
export interface DataDir {
  path: string;
  state: StackState;
  save(): void;
  /** Writes `stack.json`, which tells clients where the stack is; readable by its owner only. */
  publish(stack: object): void;
  /** Removes `stack.json`: the stack runs no more. */
  unpublish(): void;
  release(): void;
}

/**
 * Opens, and if need be creates, a data folder. The lock is one the kernel lets go of with the process, however that
 * ends. `reset` removes everything the folder holds first.
 */
export function openDataDir(dataDir: string, options: { reset: boolean }): DataDir {
  const path = resolve(dataDir);
  const release = explainDiskErrors(path, () => {
    makeFolder(path);
    return lockFolder(path);
  });
  try {
    return explainDiskErrors(path, () => {
      if (options.reset) resetFolder(path);
      const state = readState(path) ?? newState();
      const save = () => writePrivate(join(path, "state.json"), state);
      save();
      const stackFile = join(path, "stack.json");
      const publish = (stack: object) => writePrivate(stackFile, stack);
      const unpublish = () => rmSync(stackFile, { force: true });
      // The one that an earlier stack left behind: it was killed, for its lock is free.
      unpublish();
      return { path, state, save, publish, unpublish, release };
    });
  } catch (error) {
    release();
    throw error;
  }
}

function lockFolder(path: string): () => void {
  const lock = new DatabaseSync(join(path, "lock"));
  try {
    lock.exec("PRAGMA busy_timeout = 3000; BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (!(error instanceof Error) || !/locked/.test(error.message)) throw error;
    throw new StartError(
      `another local stack is running on ${path}: stop it first, or choose another folder with --data-dir`,
      { cause: error },
    );
  }
  return () => lock.close();
}

const ownFiles = ["cloud", "work", "logs", "secrets", "stack.json", "state.json"];

function resetFolder(path: string): void {
  for (const name of ownFiles) rmSync(join(path, name), { recursive: true, force: true });
}

function readState(path: string): StackState | undefined {
  const file = join(path, "state.json");
  if (!existsSync(file)) return undefined;
  const state = parseState(readFileSync(file, "utf8"), file);
  if (state.version === dataVersion) return state;
  throw new StartError(
    `${path} was written by another version of Sluice (format ${state.version}, this one reads ${dataVersion}): start with --reset to begin anew, or with --data-dir elsewhere`,
  );
}

function parseState(text: string, file: string): StackState {
  try {
    return JSON.parse(text) as StackState;
  } catch (error) {
    throw new StartError(`${file} is damaged: start with --reset to begin anew`, { cause: error });
  }
}

function newState(): StackState {
  return {
    version: dataVersion,
    adminToken: `sl_admin_${randomBytes(24).toString("base64url")}`,
    workerToken: `sl_worker_${randomBytes(24).toString("base64url")}`,
    accessKeyId: `SLUICE${randomBytes(7).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString("base64url"),
    ports: {},
  };
}

/** Written beside and renamed, so that a reader never sees half of it. */
function writePrivate(file: string, content: object): void {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}
