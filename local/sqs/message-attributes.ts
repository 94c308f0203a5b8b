import { hash } from "node:crypto";
import { SqsError } from "./errors.ts";
import { assertMessageCharacters } from "./message-body.ts";
import { asFields, type Fields, readOptionalString } from "./request-fields.ts";

/** One message attribute as it travels and is stored; a binary value stays in base64. */
export type MessageAttribute = { DataType: string; StringValue?: string; BinaryValue?: string };
export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

const MAX_ATTRIBUTES = 10;
const MAX_NAME_LENGTH = 256;
const MAX_TYPE_LENGTH = 256;
const NAME_PATTERN = /^[\p{L}\p{N}_.-]+$/u;
const TYPE_PATTERN = /^(String|Number|Binary)(\..+)?$/;
const NUMBER_PATTERN = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

/** Reads and validates the message attributes of one message. */
export function parseMessageAttributes(input: Fields): MessageAttributes {
  const names = Object.keys(input);
  if (names.length > MAX_ATTRIBUTES) {
    throw invalid(`Number of message attributes [${names.length}] exceeds the allowed maximum [${MAX_ATTRIBUTES}].`);
  }
  const attributes: Record<string, MessageAttribute> = {};
  for (const name of names) {
    assertAttributeName(name);
    attributes[name] = parseAttribute(name, asFields(input[name], `MessageAttributes.${name}`), "user");
  }
  return attributes;
}

/** Reads and validates the system attributes of one message: AWS knows only the X-Ray trace header. */
export function parseSystemAttributes(input: Fields): MessageAttributes {
  const attributes: Record<string, MessageAttribute> = {};
  for (const name of Object.keys(input)) {
    if (name !== "AWSTraceHeader") {
      throw invalid(`Message system attribute name '${name}' is invalid; only AWSTraceHeader is supported.`);
    }
    const attribute = parseAttribute(name, asFields(input[name], `MessageSystemAttributes.${name}`), "system");
    if (attribute.DataType !== "String") throw invalid("AWSTraceHeader must be of type String.");
    attributes[name] = attribute;
  }
  return attributes;
}

function assertAttributeName(name: string): void {
  if (name.length === 0 || name.length > MAX_NAME_LENGTH) {
    throw invalid("Message (user) attribute names must have between 1 and 256 characters.");
  }
  if (!NAME_PATTERN.test(name)) {
    throw invalid(
      `Message (user) attribute name '${name}' can only contain letters, digits, periods, hyphens and underscores.`,
    );
  }
  if (/^(aws|amazon)\./i.test(name) || name.startsWith(".") || name.endsWith(".") || name.includes("..")) {
    throw invalid(
      `Message (user) attribute name '${name}' must not begin with 'AWS.' or 'Amazon.', begin or end with a period, or have two periods in a row.`,
    );
  }
}

function parseAttribute(name: string, fields: Fields, kind: "user" | "system"): MessageAttribute {
  const DataType = readOptionalString(fields, "DataType");
  const label = `Message (${kind}) attribute '${name}'`;
  if (DataType === undefined || DataType === "") throw invalid(`${label} must contain a non-empty attribute type.`);
  if (DataType.length > MAX_TYPE_LENGTH || !TYPE_PATTERN.test(DataType)) {
    throw invalid(
      `The type of message (${kind}) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
    );
  }
  const value = readOptionalString(fields, DataType.startsWith("Binary") ? "BinaryValue" : "StringValue");
  if (value === undefined || value === "") {
    throw invalid(
      `${label} must contain a non-empty value of type '${DataType.startsWith("Binary") ? "Binary" : "String"}'.`,
    );
  }
  if (DataType.startsWith("Binary")) return { DataType, BinaryValue: value };
  assertMessageCharacters(value, `${label} contains`);
  if (DataType.startsWith("Number") && !NUMBER_PATTERN.test(value)) {
    throw invalid(`Can't cast the value of message (${kind}) attribute '${name}' to a number.`);
  }
  return { DataType, StringValue: value };
}

/** Counts the bytes of attributes as AWS does for the size limit: name, type and value of each. */
export function measureAttributes(attributes: MessageAttributes): number {
  let bytes = 0;
  for (const [name, attribute] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(attribute.DataType) + valueBytes(attribute).length;
  }
  return bytes;
}

/**
 * Computes the MD5 over attributes in AWS's canonical form: sorted by name; name, type and value each behind its length
 * in four bytes; before the value one byte that tells text (1) from binary (2). Undefined where there are none.
 */
export function digestAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const parts: Buffer[] = [];
  for (const name of names) {
    const attribute = attributes[name];
    if (attribute === undefined) continue;
    parts.push(...withLength(Buffer.from(name)), ...withLength(Buffer.from(attribute.DataType)));
    parts.push(Buffer.from([attribute.BinaryValue === undefined ? 1 : 2]), ...withLength(valueBytes(attribute)));
  }
  return hash("md5", Buffer.concat(parts), "hex");
}

/** Picks the attributes a receive asks for: by name, by prefix (`foo.*`), or all of them (`All`, `.*`). */
export function selectAttributes(attributes: MessageAttributes, names: readonly string[]): MessageAttributes {
  if (names.includes("All") || names.includes(".*")) return attributes;
  const prefixes = names.filter((name) => name.endsWith(".*")).map((name) => name.slice(0, -2));
  return Object.fromEntries(
    Object.entries(attributes).filter(
      ([name]) => names.includes(name) || prefixes.some((prefix) => name.startsWith(prefix)),
    ),
  );
}

function valueBytes(attribute: MessageAttribute): Buffer {
  return attribute.BinaryValue === undefined
    ? Buffer.from(attribute.StringValue ?? "")
    : Buffer.from(attribute.BinaryValue, "base64");
}

function withLength(bytes: Buffer): [Buffer, Buffer] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

function invalid(message: string): SqsError {
  return new SqsError("InvalidParameterValueException", message);
}
