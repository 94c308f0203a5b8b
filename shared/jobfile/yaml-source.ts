import {
  Composer,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  Parser,
  type Scalar,
  type YAMLMap,
} from "yaml";
import type { Path, ProblemCode } from "./problem.ts";
import { numberKeys } from "./schema.ts";

/**
 * YAML text as plain data, with the offset of every key and value. Plain scalars are taken as the text they are
 * written as (`SHARD: 01` stays "01", `run: true` runs "true"), except for keys whose value is a number.
 */

/** Maps and lists inside each other; a job file needs ten. The YAML package's own limit is Node's stack. */
const maxDepth = 64;
/** Values and characters that aliases may add in all, so that a few lines cannot grow into gigabytes. */
const maxAliasedValues = 100_000;
const maxAliasedCharacters = 1024 * 1024;

/** A problem by its offset in the text. */
export interface OffsetProblem {
  offset: number;
  path: Path;
  message: string;
  code: ProblemCode;
  related?: { offset: number; message: string };
}

/** What a YAML text says. `value` is undefined where its syntax is broken. */
export interface YamlSource {
  value: unknown;
  problems: OffsetProblem[];
  /** Offset of the key or value at a path, or of the nearest thing around it that exists. */
  locate(path: Path, part: "key" | "value"): number;
}

/** Reads a YAML text: every syntax problem, or its value together with duplicate keys and unknown tags. */
export function readYaml(source: string): YamlSource {
  const composed = composeDocument(source);
  if (composed.root === undefined) return { value: undefined, problems: composed.problems, locate: () => 0 };
  const { root, problems } = composed;
  const targets = resolveAliases(root, problems);
  if (problems.length > 0) return { value: undefined, problems, locate: () => 0 };
  const value = createConverter(targets, problems).convert(root, "");
  return { value, problems, locate: (path, part) => locate(root, targets, path, part) };
}

type Targets = ReadonlyMap<Node, Node>;
type Problems = OffsetProblem[];

/** Parses with the YAML package's own parts, so that nesting is bounded before anything recurses into it. */
function composeDocument(source: string): { root: Node | undefined; problems: Problems } {
  const parser = new Parser();
  const tokens = [];
  for (const lexeme of new Lexer().lex(source)) {
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length <= maxDepth) continue;
    const message = `maps and lists are nested more than ${maxDepth} deep; a job file needs far less, so a bracket may be left open`;
    return { root: undefined, problems: [{ offset: parser.offset, path: [], message, code: "nested_too_deep" }] };
  }
  tokens.push(...parser.end());

  // Duplicate keys are found while converting: the package compares each key with every other one.
  const composer = new Composer({ uniqueKeys: false, version: "1.2" });
  const documents = [...composer.compose(tokens, true, source.length)];
  const problems = documents.flatMap((document) =>
    [...document.errors, ...document.warnings].map((error) => syntaxProblem(error.pos[0], error.message)),
  );
  const second = documents[1];
  if (second)
    problems.push(
      syntaxProblem(second.range[0], "a job file holds one document; remove the second '---' and what follows"),
    );
  const root = documents[0]?.contents;
  const isEmpty = !root || (isScalar(root) && root.value === null && root.source === "");
  if (isEmpty && problems.length === 0)
    problems.push(syntaxProblem(0, "the job file is empty; a job needs name, steps and tasks"));
  return { root: root ?? undefined, problems };
}

function syntaxProblem(offset: number, message: string): OffsetProblem {
  return { offset, path: [], message, code: "yaml_syntax" };
}

/** Finds what each alias stands for: the last anchor of its name before it. */
function resolveAliases(root: Node, problems: Problems): Targets {
  const targets = new Map<Node, Node>();
  const anchors = new Map<string, Node>();

  function visit(node: unknown): void {
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target) targets.set(node, target);
      else
        problems.push(syntaxProblem(offsetOf(node), `alias *${node.source} has no anchor &${node.source} before it`));
      return;
    }
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) return;
    if (node.anchor) anchors.set(node.anchor, node);
    if (isSeq(node)) node.items.forEach(visit);
    if (!isMap(node)) return;
    for (const pair of node.items) {
      visit(pair.key);
      visit(pair.value);
    }
  }

  visit(root);
  return targets;
}

function offsetOf(node: unknown): number {
  const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : 0;
}

function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  if (typeof key.value === "string") return key.value;
  return key.source || undefined;
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.type === "PLAIN" && key.value === "<<";
}

/** The nodes that a `<<` key takes its defaults from, nearest first; none where it does not stand for maps. */
function listMerged(value: unknown, targets: Targets): Node[] {
  const items = isSeq(value) ? value.items : [value];
  const maps = items.filter((item): item is Node => isMap(isAlias(item) ? targets.get(item) : item));
  return maps.length === items.length ? maps : [];
}

function createConverter(targets: Targets, problems: Problems) {
  const path: (string | number)[] = [];
  const expanding = new Set<Node>();
  let aliasedValues = 0;
  let aliasedCharacters = 0;
  let isExhausted = false;

  /** Counts what aliases add; once the bound is passed nothing more is converted. */
  function spend(node: Node): boolean {
    if (expanding.size === 0) return true;
    aliasedValues += 1;
    if (isScalar(node)) aliasedCharacters += String(node.value).length;
    if (aliasedValues <= maxAliasedValues && aliasedCharacters <= maxAliasedCharacters) return true;
    if (!isExhausted) report(node, "its aliases stand for too much; write fewer of them", "too_many_aliases");
    isExhausted = true;
    return false;
  }

  function report(node: unknown, message: string, code: ProblemCode): void {
    problems.push({ offset: offsetOf(node), path: [...path], message, code });
  }

  function convert(node: unknown, key: string): unknown {
    if (isExhausted || node === null || node === undefined) return null;
    if (isAlias(node)) return convertAlias(node, key);
    if (isScalar(node)) return spend(node) ? convertScalar(node, key) : null;
    if (isMap(node)) return spend(node) ? convertMap(node) : null;
    if (isSeq(node)) return spend(node) ? node.items.map((item, index) => convertAt(index, item, key)) : null;
    return null;
  }

  function convertAlias(alias: Node, key: string): unknown {
    const target = targets.get(alias);
    if (!target) return null;
    if (expanding.has(target) || path.length > maxDepth) {
      report(
        alias,
        "this alias stands for something that holds the alias itself, or is nested too deep",
        "too_many_aliases",
      );
      return null;
    }
    expanding.add(target);
    const value = convert(target, key);
    expanding.delete(target);
    return value;
  }

  function convertAt(part: string | number, node: unknown, key: string): unknown {
    path.push(part);
    const value = convert(node, key);
    path.pop();
    return value;
  }

  function convertMap(map: YAMLMap): Record<string, unknown> {
    // Without a prototype, so that a key named __proto__ is a key like any other.
    const value: Record<string, unknown> = Object.create(null);
    const keys = new Map<string, unknown>();
    for (const pair of map.items) {
      if (isMergeKey(pair.key)) continue;
      const key = keyText(pair.key);
      if (key === undefined) report(pair.key ?? pair.value, "a key must be plain text", "wrong_type");
      else if (keys.has(key)) reportDuplicate(pair.key, keys.get(key), key);
      else {
        keys.set(key, pair.key);
        value[key] = convertAt(key, pair.value, key);
      }
    }
    mergeInto(map, value);
    return value;
  }

  /** Adds what `<<: *defaults` brings: keys that the map does not have itself. */
  function mergeInto(map: YAMLMap, value: Record<string, unknown>): void {
    for (const pair of map.items.filter((item) => isMergeKey(item.key))) {
      const merged = listMerged(pair.value, targets);
      if (merged.length === 0)
        report(pair.key, "<< takes a map or a list of maps, such as <<: *defaults", "wrong_type");
      for (const source of merged) {
        for (const [key, item] of Object.entries(convert(source, "") ?? {})) if (!(key in value)) value[key] = item;
      }
    }
  }

  function reportDuplicate(key: unknown, firstKey: unknown, name: string): void {
    path.push(name);
    const message = `key '${name}' is written twice; keep one of them`;
    problems.push({
      offset: offsetOf(key),
      path: [...path],
      message,
      code: "duplicate_key",
      related: { offset: offsetOf(firstKey), message: "first written here" },
    });
    path.pop();
  }

  return { convert };
}

/** Plain scalars are the text they are written as, but for numbers where a number is wanted and for nothing at all. */
function convertScalar(scalar: Scalar, key: string): unknown {
  const { value } = scalar;
  if (typeof value === "string" || value === null) return value;
  if (typeof value === "number" && numberKeys.has(key)) return value;
  return scalar.source ?? String(value);
}

function locate(root: Node, targets: Targets, path: Path, part: "key" | "value"): number {
  let node: unknown = root;
  let offset = offsetOf(root);
  for (const [depth, step] of path.entries()) {
    const holder: unknown = isAlias(node) ? targets.get(node) : node;
    const isLast = depth === path.length - 1;
    if (isSeq(holder) && typeof step === "number" && step < holder.items.length) {
      node = holder.items[step];
      offset = offsetOf(node) || offset;
    } else if (isMap(holder)) {
      const pair = findPair(holder, String(step), targets);
      if (!pair) return offset;
      node = pair.value;
      // A key without a value has nothing else to point at.
      const hasValue = isNode(node) && !(isScalar(node) && node.source === "");
      offset = hasValue && !(isLast && part === "key") ? offsetOf(node) : offsetOf(pair.key);
    } else return offset;
  }
  return offset;
}

function findPair(map: YAMLMap, key: string, targets: Targets, seen = new Set<YAMLMap>()): Pair | undefined {
  const own = map.items.find((pair) => keyText(pair.key) === key && !isMergeKey(pair.key));
  if (own || seen.has(map)) return own;
  seen.add(map);
  for (const merge of map.items.filter((pair) => isMergeKey(pair.key))) {
    for (const source of listMerged(merge.value, targets)) {
      const holder = isAlias(source) ? targets.get(source) : source;
      const found = isMap(holder) ? findPair(holder, key, targets, seen) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}
