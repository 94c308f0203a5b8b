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
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { clipText, type Path, type ProblemCode } from "./problem.ts";
import { numberKeys } from "./schema.ts";
import { translateYamlError } from "./yaml-errors.ts";

/**
 * YAML text as plain data, with the offset of every key and value. Plain scalars are taken as the text they are
 * written as (`SHARD: 01` stays "01", `run: true` runs "true"), except for keys whose value is a number.
 */

/** Maps and lists inside each other; a job file needs ten. The YAML package's own limit is Node's stack. */
const maxDepth = 64;
/** Values and characters that aliases may add in all, so that a few lines cannot grow into gigabytes. */
const maxAliasedValues = 500_000;
const maxAliasedCharacters = 4 * 1024 * 1024;

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
  const { root, problems } = composeDocument(source);
  const broken: YamlSource = { value: undefined, problems, locate: () => 0 };
  if (!root) return broken;
  const targets = resolveAliases(root, problems);
  if (problems.length > 0) return broken;
  const value = createConverter(targets, problems).convert(root, "");
  // What is left of a value that was not converted to its end would only give misleading problems.
  if (problems.some((problem) => problem.code === "too_many_aliases")) return broken;
  return { value, problems, locate: createLocator(root, targets) };
}

type Targets = ReadonlyMap<Node, Node>;
type Problems = OffsetProblem[];

/** Parses with the YAML package's own parts, so that nesting is bounded before anything recurses into it. */
function composeDocument(source: string): { root: Node | undefined; problems: Problems } {
  const parser = new Parser();
  const tokens = [];
  let openQuoteOffset: number | undefined;
  for (const lexeme of new Lexer().lex(source)) {
    const offset = parser.offset;
    tokens.push(...parser.next(lexeme));
    if (isOpenQuote(lexeme)) openQuoteOffset = offset;
    if (parser.stack.length <= maxDepth) continue;
    const message = `maps and lists are nested more than ${maxDepth} deep; a bracket may be left open`;
    return { root: undefined, problems: [{ offset, path: [], message, code: "nested_too_deep" }] };
  }
  tokens.push(...parser.end());

  // Duplicate keys are found while converting: the package compares each key with every other one.
  const composer = new Composer({ uniqueKeys: false, version: "1.2" });
  const [document, second] = composer.compose(tokens, true, source.length);
  const problems = listSyntaxProblems([...(document?.errors ?? []), ...(document?.warnings ?? [])], openQuoteOffset);
  if (second) {
    const message = "a job file holds one document; remove the second '---' and what follows";
    problems.push(syntaxProblem(second.range[0], message));
  }
  const root = document?.contents ?? undefined;
  const isEmpty = !root || (isScalar(root) && root.value === null && root.source === "");
  if (isEmpty && problems.length === 0) {
    problems.push(syntaxProblem(0, "the job file is empty; a job needs name, steps and tasks"));
  }
  return { root, problems };
}

/** One problem for each offset: what the parser says next about the same place follows from the first. */
function listSyntaxProblems(errors: readonly YAMLError[], openQuoteOffset: number | undefined): Problems {
  const problems = new Map<number, OffsetProblem>();
  for (const error of errors) {
    // The parser points to where the text ends; the quote that opened it is what helps.
    const isOpenQuoteError = openQuoteOffset !== undefined && error.message.startsWith("Missing closing");
    const offset = isOpenQuoteError ? openQuoteOffset : error.pos[0];
    if (!problems.has(offset)) problems.set(offset, syntaxProblem(offset, translateYamlError(error.message)));
  }
  return [...problems.values()];
}

function isOpenQuote(lexeme: string): boolean {
  const quote = lexeme[0];
  return (quote === '"' || quote === "'") && (lexeme.length === 1 || !lexeme.endsWith(quote));
}

function syntaxProblem(offset: number, message: string): OffsetProblem {
  return { offset, path: [], message: clipText(message, 300), code: "yaml_syntax" };
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
        problems.push(
          syntaxProblem(
            offsetOf(node),
            `alias *${node.source} has no anchor &${node.source} before it; put text that starts with '*' in quotes`,
          ),
        );
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
  /** Maps and lists being converted: an alias to one of them would never end. */
  const open = new Set<Node>();
  /** The alias in the text that everything now being converted comes from. */
  let outerAlias: Node | undefined;
  let aliasedValues = 0;
  let aliasedCharacters = 0;
  let isExhausted = false;

  function report(node: unknown, message: string, code: ProblemCode): void {
    problems.push({ offset: offsetOf(node), path: [...path], message, code });
  }

  /** Reports aliases once; after that nothing more is converted. */
  function exhaust(message: string): void {
    if (!isExhausted) problems.push({ offset: offsetOf(outerAlias), path: [], message, code: "too_many_aliases" });
    isExhausted = true;
  }

  function spend(node: Node): void {
    aliasedValues += 1;
    if (isScalar(node)) aliasedCharacters += String(node.value).length;
    if (aliasedValues <= maxAliasedValues && aliasedCharacters <= maxAliasedCharacters) return;
    exhaust("aliases stand for too many values here; write fewer of them");
  }

  function convert(node: unknown, key: string): unknown {
    if (!isNode(node)) return null;
    if (isAlias(node) && !outerAlias) return convertOuterAlias(node, key);
    if (outerAlias) spend(node);
    if (isExhausted) return null;
    if (isAlias(node)) return convertAlias(node, key);
    if (isScalar(node)) return convertScalar(node, key);
    if (!isMap(node) && !isSeq(node)) return null;
    open.add(node);
    const value = isMap(node) ? convertMap(node) : node.items.map((item, index) => convertAt(index, item, key));
    open.delete(node);
    return value;
  }

  function convertOuterAlias(alias: Node, key: string): unknown {
    outerAlias = alias;
    const value = convert(alias, key);
    outerAlias = undefined;
    return value;
  }

  function convertAlias(alias: Node, key: string): unknown {
    const target = targets.get(alias);
    if (!target) return null;
    if (open.has(target) || path.length > maxDepth) {
      exhaust("this alias stands for something that holds it, or is nested too deep; write its value out");
      return null;
    }
    return convert(target, key);
  }

  function convertAt(part: string | number, node: unknown, key: string): unknown {
    path.push(part);
    const value = convert(node, key);
    path.pop();
    return value;
  }

  function convertMap(map: YAMLMap): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    const keys = new Map<string, unknown>();
    for (const pair of map.items) {
      if (isMergeKey(pair.key)) continue;
      const key = keyText(pair.key);
      if (key === undefined) report(pair.key ?? pair.value, "a key must be plain text", "wrong_type");
      else if (key === "__proto__") report(pair.key, "a key cannot be named __proto__", "invalid_value");
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
        for (const [key, item] of Object.entries(convert(source, "") ?? {}))
          if (!Object.hasOwn(value, key)) value[key] = item;
      }
    }
  }

  function reportDuplicate(key: unknown, firstKey: unknown, name: string): void {
    path.push(name);
    const message = `key '${clipText(name)}' is written twice; keep one of them`;
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

/**
 * Plain scalars are the text they are written as, but for numbers where a number is wanted and for nothing at all. A
 * number in quotes is one too: `slots: "{{ params.slots }}"` needs them to be YAML before its template is rendered.
 */
function convertScalar(scalar: Scalar, key: string): unknown {
  const { value } = scalar;
  if (typeof value === "string") return numberKeys.has(key) && /^\d{1,15}(\.\d+)?$/.test(value) ? Number(value) : value;
  if (value === null || (typeof value === "number" && numberKeys.has(key))) return value;
  return scalar.source ?? String(value);
}

/** Finds offsets by path; each map is indexed once, so that thousands of problems are no slower than one. */
function createLocator(root: Node, targets: Targets): YamlSource["locate"] {
  const indexes = new Map<YAMLMap, Map<string, Pair>>();
  const resolve = (node: unknown) => (isAlias(node) ? targets.get(node) : node);

  function indexPairs(map: YAMLMap): Map<string, Pair> {
    const known = indexes.get(map);
    if (known) return known;
    const pairs = new Map<string, Pair>();
    // Registered before it is filled: maps that merge each other find what is there so far.
    indexes.set(map, pairs);
    const add = (key: string | undefined, pair: Pair) => {
      if (key !== undefined && !pairs.has(key)) pairs.set(key, pair);
    };
    for (const pair of map.items) if (!isMergeKey(pair.key)) add(keyText(pair.key), pair);
    for (const merge of map.items.filter((pair) => isMergeKey(pair.key))) {
      for (const source of listMerged(merge.value, targets).map(resolve)) {
        if (isMap(source)) for (const [key, pair] of indexPairs(source)) add(key, pair);
      }
    }
    return pairs;
  }

  return (path, part) => {
    let node: unknown = root;
    let offset = offsetOf(root);
    for (const [depth, step] of path.entries()) {
      const holder = resolve(node);
      if (isSeq(holder) && typeof step === "number" && step < holder.items.length) {
        node = holder.items[step];
        offset = offsetOf(node) || offset;
        continue;
      }
      const pair = isMap(holder) ? indexPairs(holder).get(String(step)) : undefined;
      if (!pair) return offset;
      node = pair.value;
      const wantsKey = part === "key" && depth === path.length - 1;
      // A key without a value has nothing else to point at.
      const hasValue = isNode(node) && !(isScalar(node) && node.value === null && node.source === "");
      offset = hasValue && !wantsKey ? offsetOf(node) : offsetOf(pair.key);
    }
    return offset;
  };
}
