import * as z from "zod";
import { jobSchema } from "./schema.ts";

/** As much of JSON Schema as the job file's schema uses. */
interface SchemaNode {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: SchemaNode[];
  items?: SchemaNode;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  additionalProperties?: SchemaNode | boolean;
  description?: string;
}

/**
 * The types of the module `sluice` as a declaration file, for editors where nothing of Sluice is installed. Made of the
 * schema that job files are checked by; what `define-job.ts` says beside it is said here again.
 */
export function buildJobTypes(): string {
  const schema = z.toJSONSchema(jobSchema, { io: "input" }) as SchemaNode;
  return `/** Job files of Sluice in TypeScript. Written by \`sluice schema --types\`: write it again, do not change it. */
declare module "sluice" {
  /** A job, with the keys and values that it has in YAML. */
  export interface JobFile ${typeOf(schema, "  ")}

  /** The environment of the command line, its arguments, and the values of \`-p\`. */
  export interface JobInputs {
    env: Readonly<Record<string, string | undefined>>;
    args: readonly string[];
    params: Readonly<Record<string, string | undefined>>;
  }

  /** What a job file exports by default. */
  export type JobDefinition = JobFile | ((inputs: JobInputs) => JobFile | Promise<JobFile>);

  /** Gives a job, or the function that makes it, its types; answers what it was given. */
  export function defineJob(job: JobDefinition): JobDefinition;
}
`;
}

function typeOf(node: SchemaNode, indent: string): string {
  if (node.anyOf !== undefined) return node.anyOf.map((option) => typeOf(option, indent)).join(" | ");
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return node.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (node.type) {
    case "array": {
      const { items = {} } = node;
      const item = typeOf(items, indent);
      return items.anyOf === undefined && items.enum === undefined ? `${item}[]` : `(${item})[]`;
    }
    case "object":
      return node.properties === undefined ? recordOf(node, indent) : objectOf(node, node.properties, indent);
    case "integer":
      return "number";
    case "string":
    case "number":
    case "boolean":
      return node.type;
    default:
      return "unknown";
  }
}

function recordOf({ additionalProperties }: SchemaNode, indent: string): string {
  const value = typeof additionalProperties === "object" ? typeOf(additionalProperties, indent) : "unknown";
  return `{ [name: string]: ${value} }`;
}

function objectOf({ required = [] }: SchemaNode, properties: Record<string, SchemaNode>, indent: string): string {
  const inner = `${indent}  `;
  const lines = Object.entries(properties).flatMap(([name, node]) => {
    const type = typeOf(node, inner);
    const comment = node.description === undefined ? [] : [`${inner}/** ${node.description} */`];
    return [...comment, `${inner}${name}${required.includes(name) ? `: ${type}` : `?: ${type} | undefined`};`];
  });
  return ["{", ...lines, `${indent}}`].join("\n");
}
