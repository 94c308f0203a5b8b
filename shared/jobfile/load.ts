import { type ParsedJobFile, parseJobFile } from "./parse.ts";
import type { RenderOptions } from "./render.ts";

/** A job that can be run together with the text that was parsed, or everything that is wrong with its file. */
export type LoadedJobFile = ParsedJobFile & { text: string };

/** Renders the templates of a YAML job file, if it has any, and parses the result. */
export async function loadJobFile(source: string, options: RenderOptions): Promise<LoadedJobFile> {
  const { fileName } = options;
  if (!source.includes("{{") && !source.includes("{%")) return { ...parseJobFile(source, { fileName }), text: source };
  // Loaded on demand: most job files have no templates, and the engine costs a start 20 ms.
  const { renderJobFile } = await import("./render.ts");
  const rendered = await renderJobFile(source, options);
  if (!rendered.ok) return { ...rendered, text: source };
  const isRendered = rendered.text !== source;
  return { ...parseJobFile(rendered.text, { fileName, isRendered }), text: rendered.text };
}
