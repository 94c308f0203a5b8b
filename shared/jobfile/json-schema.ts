import * as z from "zod";
import { jobSchema, notYetSupported } from "./schema.ts";

type SchemaNode = Record<string, unknown>;

/** JSON Schema (draft 2020-12) of the job file, for editors and `sluice schema`; only what this version can run. */
export function buildJobJsonSchema(): SchemaNode {
  const schema: SchemaNode = z.toJSONSchema(jobSchema, {
    io: "input",
    override: ({ jsonSchema }) => admitPlainValues(jsonSchema),
  });
  for (const pattern of notYetSupported) removeKey(schema, pattern.split(/\.|(?=\[\])/));
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

/** Takes a key out of the schema, wherever a pattern such as `tasks[].needs` leads. */
function removeKey(node: unknown, parts: readonly string[]): void {
  if (!isNode(node)) return;
  if (Array.isArray(node.anyOf)) for (const option of node.anyOf) removeKey(option, parts);
  const [part, ...rest] = parts;
  if (part === undefined) return;
  if (part === "[]") removeKey(node.items, rest);
  else if (!isNode(node.properties)) return;
  else if (rest.length > 0) removeKey(node.properties[part], rest);
  else {
    delete node.properties[part];
    if (Array.isArray(node.required)) node.required = node.required.filter((key) => key !== part);
  }
}
