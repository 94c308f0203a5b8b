import { SqsError } from "./errors.ts";

/** A JSON object of a request, before anything in it has been looked at. */
export type Fields = Readonly<Record<string, unknown>>;

/** Reads a request body as the JSON object that every operation expects. */
export function parseFields(body: Buffer): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.length === 0 ? "{}" : body.toString("utf8"));
  } catch (cause) {
    throw new SqsError("SerializationException", `The request body is not valid JSON: ${(cause as Error).message}`);
  }
  return asFields(parsed, "The request body");
}

/** Takes a value as a JSON object, or refuses it under the given name. */
export function asFields(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new SqsError("SerializationException", `${name} has to be a JSON object.`);
  }
  return value as Fields;
}

/** Reads a string, or undefined where it is absent. */
export function readOptionalString(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new SqsError("SerializationException", `${name} has to be a string.`);
  return value;
}

/** Reads a string that has to be there; an empty one counts as absent, as on AWS. */
export function readString(fields: Fields, name: string): string {
  const value = readOptionalString(fields, name);
  if (value === undefined || value === "") throw missing(name);
  return value;
}

/** Reads a whole number, or undefined where it is absent. */
export function readOptionalInteger(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new SqsError("SerializationException", `${name} has to be a whole number.`);
  }
  return value;
}

/** Reads a list of strings; empty where it is absent. */
export function readStringList(fields: Fields, name: string): string[] {
  return readList(fields, name).map((item) => {
    if (typeof item !== "string") throw new SqsError("SerializationException", `${name} has to hold strings only.`);
    return item;
  });
}

/** Reads a map from string to string; empty where it is absent. */
export function readStringMap(fields: Fields, name: string): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [key, value] of Object.entries(readMap(fields, name))) {
    if (typeof value !== "string") throw new SqsError("SerializationException", `${name} has to hold strings only.`);
    map[key] = value;
  }
  return map;
}

/** Reads a map of anything; empty where it is absent. */
export function readMap(fields: Fields, name: string): Fields {
  const value = fields[name];
  return value === undefined || value === null ? {} : asFields(value, name);
}

/** Reads a list of anything; empty where it is absent. */
export function readList(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new SqsError("SerializationException", `${name} has to be a list.`);
  return value;
}

/** The error for a parameter that is not there. */
export function missing(name: string): SqsError {
  return new SqsError("MissingRequiredParameterException", `The request must contain the parameter ${name}.`);
}
