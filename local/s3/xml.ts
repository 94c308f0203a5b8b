import { XMLParser } from "fast-xml-parser";

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** One element with text (escaped) or with elements that are already built; `undefined` children are left out. */
export function element(name: string, content: string | number | boolean | readonly (string | undefined)[]): string {
  const inner = Array.isArray(content) ? content.join("") : escapeText(String(content));
  return `<${name}>${inner}</${name}>`;
}

/** A whole document. The error document, alone of all, carries no namespace. */
export function buildDocument(root: string, children: readonly (string | undefined)[]): string {
  const open = root === "Error" ? "<Error>" : `<${root} xmlns="${namespace}">`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${open}${children.join("")}</${root}>`;
}

/** A time as S3 writes it in documents: ISO 8601 with whole seconds, so that it equals the HTTP header's. */
export function formatTime(timeMs: number): string {
  return new Date(Math.floor(timeMs / 1000) * 1000).toISOString();
}

function escapeText(text: string): string {
  // Control characters: parsers turn a bare carriage return into a line feed, and a key must survive the trip.
  return text.replace(
    /[&<>"\p{Cc}]/gu,
    (character) => escapes[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  );
}

// Entities are decoded here, not by the parser: only these few exist without a DTD, and none can expand further.
const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  removeNSPrefix: true,
});

/** An element of a parsed request document. */
export interface XmlElement {
  /** Text of the first child of that name; undefined when there is none. */
  text(name: string): string | undefined;
  /** The first child of that name that has children of its own or is empty. */
  child(name: string): XmlElement | undefined;
  /** All children of that name, in order. */
  children(name: string): XmlElement[];
  /** All texts of that name, in order. */
  texts(name: string): string[];
}

/** Parses a document and gives its root element; undefined when it is not well-formed or has another root. */
export function parseDocument(text: string, root: string): XmlElement | undefined {
  let parsed: unknown;
  try {
    parsed = parser.parse(text, true);
  } catch {
    // The parser throws plain errors for what is not well-formed; to the caller that is an outcome.
    return undefined;
  }
  if (!isRecord(parsed) || !(root in parsed)) return undefined;
  return wrap(parsed[root]);
}

function wrap(node: unknown): XmlElement {
  const list = (name: string): unknown[] => {
    const value = isRecord(node) ? node[name] : undefined;
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  };
  return {
    text: (name) => list(name).map(toText)[0],
    texts: (name) => list(name).map(toText),
    child: (name) => list(name).map(wrap)[0],
    children: (name) => list(name).map(wrap),
  };
}

function toText(node: unknown): string {
  if (typeof node === "string") return decodeEntities(node);
  return isRecord(node) && typeof node["#text"] === "string" ? decodeEntities(node["#text"]) : "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? whole;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
