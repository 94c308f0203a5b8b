import * as z from "zod";
import { jobSchema } from "./schema.ts";

type SchemaNode = Record<string, unknown>;

/** JSON Schema (draft 2020-12) of the job file, for editors and `sluice schema`. */
export function buildJobJsonSchema(): SchemaNode {
  const schema: SchemaNode = z.toJSONSchema(jobSchema, {
    io: "input",
    override: ({ jsonSchema }) => admitPlainValues(jsonSchema),
  });
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
