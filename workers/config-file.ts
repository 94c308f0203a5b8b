import { suggestNearest } from "../shared/jobfile/suggest.ts";

export interface ParsedConfigFile {
  values: Record<string, string>;
  problems: string[];
}

const linePattern = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

/**
 * Reads `KEY=VALUE` lines as systemd's environment files and `docker run --env-file` have them: empty lines and comments
 * (`#`) are left out, and a value may stand in quotes. A name that begins with `SLUICE_` and means nothing is a problem.
 */
export function parseConfigFile(text: string, knownNames: readonly string[]): ParsedConfigFile {
  const values: Record<string, string> = {};
  const problems: string[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, name, value] = linePattern.exec(line) ?? [];
    const where = `line ${index + 1}`;
    if (name === undefined || value === undefined) {
      problems.push(`${where} is not of the form KEY=VALUE`);
      continue;
    }
    if (name in values) problems.push(`${where} sets ${name} a second time`);
    const unknown = explainUnknown(name, knownNames);
    if (unknown !== undefined) problems.push(`${where}: ${unknown}`);
    values[name] = unquote(value);
  }
  return { values, problems };
}

/** What is wrong with the name of a variable that is to mean something to a worker; undefined where it does. */
export function explainUnknown(name: string, knownNames: readonly string[]): string | undefined {
  if (!name.startsWith("SLUICE_") || knownNames.includes(name)) return undefined;
  const nearest = suggestNearest(name, knownNames);
  return `${name} is not known${nearest === undefined ? "" : `: did you mean ${nearest}?`}`;
}

function unquote(value: string): string {
  const [, quote, inside] = /^(["'])(.*)\1$/.exec(value) ?? [];
  return quote === undefined || inside === undefined ? value : inside;
}
