import type { Path } from "./problem.ts";
import { jobSchema } from "./schema.ts";

/**
 * Finds parts of a job in the source of the code that makes it, as far as they are written there: it reads brackets,
 * keys and commas, no more. What is computed has the place of the expression that computes it.
 */
export interface CodeSource {
  /** The offset of a part of the job, or of the nearest part around it that is written in the source. */
  locate(path: Path, part: "key" | "value"): number;
}

/** What stands between two commas of a bracket: a value, with its key in a map. */
interface Entry {
  keyAt: number;
  /** Absent between a key's colon and what follows it. */
  valueAt: number | undefined;
  key?: string;
  /** The bracket that its value begins with. */
  bracket?: Bracket;
}

interface Bracket {
  kind: "{" | "[" | "(";
  at: number;
  entries: Entry[];
  /** Entries before the first spread: after it nobody knows the position of an item. */
  counted: number;
}

/** A bracket that is being read; `tokens` are those of its current entry. */
interface OpenBracket {
  bracket: Bracket;
  entry: Entry | undefined;
  tokens: Token[];
}

type Token = { kind: "blank" | "string" | "word" | "mark"; text: string };

const jobKeys = new Set(Object.keys(jobSchema.shape));
const blankPattern = /\s+|\/\/[^\n]*|\/\*(?:[\s\S]*?\*\/|[\s\S]*)/y;
/** What is not closed goes on to the end, so that everything is read once. */
const stringPattern = /(["'])(?:(?!\1)[^\\\n]|\\(?:[\s\S]|$))*(?:\1|(?=\n)|$)|`(?:[^`\\]|\\(?:[\s\S]|$))*(?:`|$)/y;
const regexPattern = /\/(?![/*])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,200}\]){1,500}\/[a-z]*/y;
const wordPattern = /[\p{L}\p{N}_$]+/uy;

/** Reads a source; never throws, whatever it is. */
export function readCodeSource(source: string): CodeSource {
  const { maps, exportAt } = readMaps(source);
  const root = findJob(maps, exportAt);

  function locate(path: Path, part: "key" | "value"): number {
    let bracket = root;
    let at = root?.at ?? exportAt;
    for (const [depth, step] of path.entries()) {
      const entry = findEntry(bracket, step);
      if (entry === undefined) return at;
      at = depth === path.length - 1 && part === "key" ? entry.keyAt : (entry.valueAt ?? entry.keyAt);
      bracket = entry.bracket;
    }
    return at;
  }

  return { locate };
}

/** The map that looks most like a job; rather one after the default export begins. */
function findJob(maps: readonly Bracket[], exportAt: number): Bracket | undefined {
  const score = ({ entries, at }: Bracket) => {
    const known = entries.filter(({ key }) => key !== undefined && jobKeys.has(key)).length;
    return known === 0 ? 0 : known + (at > exportAt ? 0.5 : 0);
  };
  return maps.reduce<Bracket | undefined>((best, map) => {
    return score(map) > (best === undefined ? 0 : score(best)) ? map : best;
  }, undefined);
}

function findEntry(bracket: Bracket | undefined, step: string | number): Entry | undefined {
  if (typeof step === "string") return bracket?.entries.findLast(({ key }) => key === step);
  return bracket?.kind === "[" && step < bracket.counted ? bracket.entries[step] : undefined;
}

/** All `{…}` of a source in the order they begin, and where its default export is. */
function readMaps(source: string): { maps: Bracket[]; exportAt: number } {
  const maps: Bracket[] = [];
  const open: OpenBracket[] = [];
  let exportAt = 0;
  let last: Token = { kind: "mark", text: "" };
  for (let at = 0, next = 0; at < source.length; at = next) {
    const token = readToken(source, at, last);
    next = at + token.text.length;
    if (token.kind === "blank") continue;
    if (token.text === "default" && last.text === "export") exportAt = source.lastIndexOf("export", at);
    const top = open.at(-1);
    if (top !== undefined) takeToken(top, token, at);
    if (token.kind === "mark" && isOpening(token.text)) {
      const bracket: Bracket = { kind: token.text, at, entries: [], counted: Infinity };
      if (top?.entry?.valueAt === at) top.entry.bracket = bracket;
      if (token.text === "{") maps.push(bracket);
      open.push({ bracket, entry: undefined, tokens: [] });
    } else if (token.kind === "mark" && /[)\]}]/.test(token.text)) open.pop();
    last = token;
  }
  return { maps, exportAt };
}

function isOpening(text: string): text is Bracket["kind"] {
  return text === "{" || text === "[" || text === "(";
}

function takeToken(top: OpenBracket, token: Token, at: number): void {
  const { bracket, tokens } = top;
  if (token.kind === "mark" && /[,;)\]}]/.test(token.text)) {
    endEntry(top);
    return;
  }
  if (top.entry === undefined) {
    top.entry = { keyAt: at, valueAt: at };
    bracket.entries.push(top.entry);
  }
  const { entry } = top;
  if (token.text === "..." && tokens.length === 0) {
    bracket.counted = Math.min(bracket.counted, bracket.entries.length - 1);
  }
  entry.valueAt ??= at;
  tokens.push(token);
  // Only the first colon after one token makes a key: the others belong to `a ? b : c` and to types.
  if (token.text === ":" && bracket.kind === "{" && entry.key === undefined && tokens.length === 2) {
    entry.key = textOf(tokens[0]);
    entry.valueAt = undefined;
  }
}

function endEntry(top: OpenBracket): void {
  const { entry, tokens } = top;
  const [only, ...others] = tokens;
  // `{ steps }` is short for `{ steps: steps }`.
  if (entry !== undefined && only?.kind === "word" && others.length === 0) entry.key = only.text;
  top.entry = undefined;
  top.tokens = [];
}

function textOf(token: Token | undefined): string {
  return token?.kind === "string" ? token.text.slice(1, -1) : (token?.text ?? "");
}

function readToken(source: string, at: number, last: Token): Token {
  const read = (kind: Token["kind"], pattern: RegExp): Token | undefined => {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0];
    return text === undefined || text === "" ? undefined : { kind, text };
  };
  // After a value a slash divides; everywhere else it begins a regular expression.
  const mayBeRegex = last.kind === "mark" && !/[)\]}]/.test(last.text);
  return (
    read("blank", blankPattern) ??
    read("string", stringPattern) ??
    (mayBeRegex ? read("string", regexPattern) : undefined) ??
    read("word", wordPattern) ?? { kind: "mark", text: source.startsWith("...", at) ? "..." : source.charAt(at) }
  );
}
