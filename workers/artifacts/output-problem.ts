import { isUtf8 } from "node:buffer";

/**
 * Something of a task's output that its artifact lacks: `unreadable` through the task's own doing, `changed` because it
 * was written to, replaced or removed while it was read.
 */
export interface OutputProblem {
  kind: "unreadable" | "changed";
  /** As it can be shown: bytes that are no UTF-8, and control characters, are escaped. */
  name: string;
  why: string;
}

/** Output that cannot be archived at all through the task's own doing; trying again does not help. */
export class UnreadableOutput extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "UnreadableOutput";
  }
}

/** Names of one sentence at most, and characters of one of them. */
const namesTold = 5;
const nameLength = 200;

/** The problems as one clause, the first few by name; undefined where there is none. */
export function tellProblems(problems: readonly OutputProblem[]): string | undefined {
  if (problems.length === 0) return undefined;
  const told = problems.slice(0, namesTold).map(({ name, why }) => `'${name}': ${why}`);
  const more = problems.length - told.length;
  return `${told.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/** A name of any bytes as one line of text. */
export function showName(name: Buffer): string {
  const shown = isUtf8(name) ? name.toString("utf8").replace(/[\p{Cc}\\]/gu, escapeCharacter) : escapeBytes(name);
  return shown.length > nameLength ? `…${shown.slice(-nameLength)}` : shown;
}

/** Bytes that are no text, byte for byte: what is shown then still tells two names apart. */
export function escapeBytes(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/[^ -[\]-~]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`;
}
