import * as z from "zod";
import { jobSchema, mayBeEmpty } from "./schema.ts";

type SchemaNode = Record<string, unknown>;

/** JSON Schema (draft 2020-12) of the job file, for editors and `sluice schema`. */
export function buildJobJsonSchema(): SchemaNode {
  const schema: SchemaNode = z.toJSONSchema(jobSchema, {
    io: "input",
    override: ({ jsonSchema }) => admitPlainValues(jsonSchema),
  });
  for (const pattern of mayBeEmpty) admitNothing(schema, pattern);
  return { $id: "urn:sluice:job-file:1", title: "Sluice job file", ...schema };
}

/** `PORT: 8080` is text to the parser, which keeps plain values as they are written; editors should agree. */
function admitPlainValues(node: SchemaNode): void {
  if (node.propertyNames !== undefined && isNode(node.additionalProperties)) {
    const { type } = node.additionalProperties;
    if (type === "string") node.additionalProperties.type = ["string", "number", "boolean"];
  }
  if (node.const === "1") {
    delete node.const;
    node.enum = ["1", 1];
    delete node.type;
  }
}

function isNode(value: unknown): value is SchemaNode {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The nodes that the parts of a pattern lead to, in every option on the way. */
function findNodes(node: unknown, parts: readonly string[]): SchemaNode[] {
  if (!isNode(node)) return [];
  if (Array.isArray(node.anyOf)) return node.anyOf.flatMap((option) => findNodes(option, parts));
  const [part, ...rest] = parts;
  if (part === undefined) return [node];
  if (part === "[]") return findNodes(node.items, rest);
  if (part === "*") return findNodes(node.additionalProperties, rest);
  return isNode(node.properties) ? findNodes(node.properties[part], rest) : [];
}

function admitNothing(schema: SchemaNode, parts: readonly string[]): void {
  for (const node of findNodes(schema, parts)) node.type = [node.type, "null"];
}
