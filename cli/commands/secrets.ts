import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import type { SecretDescription } from "../../shared/api/schemas.ts";
import { formatAge, plural } from "../../shared/domain/format.ts";
import { explainBadSecretName, explainBadSecretValue, secretRules } from "../../shared/domain/secret-rules.ts";
import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { askHidden, readAll } from "../terminal/read-input.ts";
import { type Column, renderTable } from "../terminal/table.ts";

/** Where `sluice secrets set` takes the value from: what is given, else stdin. */
export interface SecretSource {
  value?: string | undefined;
  file?: string | undefined;
}

/** `sluice secrets set NAME [VALUE]`: sets a secret. Its value is shown nowhere, not in `--json` either. */
export function setSecret(context: Context, name: string, source: SecretSource): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    checkName(name);
    const value = await readValue(context, name, source);
    const problem = explainBadSecretValue(value);
    if (problem !== undefined) throw new CliError(exitCodes.usage, `${oneLine(name)} was not set: ${problem}`);
    const secret = await context.api().putSecret(name, value, { signal });
    warnOfUnmasked(context, value);
    if (context.json) context.writeJson(toJson(secret));
    else context.out.write(`set ${name}\n`);
    return exitCodes.completed;
  });
}

/** `sluice secrets ls`: names and times, no values. */
export function listSecrets(context: Context): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const secrets: SecretDescription[] = [];
    for await (const secret of context.api().eachSecret({ signal })) secrets.push(secret);
    secrets.sort((a, b) => (a.name < b.name ? -1 : 1));
    if (context.json) context.writeJson({ secrets: secrets.map(toJson) });
    else if (secrets.length === 0) context.note(`no secrets yet; set one: ${context.hint("secrets set NAME")}`);
    else showSecrets(context, secrets);
    return exitCodes.completed;
  });
}

/** `sluice secrets rm NAME…`: removes secrets; jobs that name them fail from now on. */
export function removeSecrets(context: Context, names: readonly string[]): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    names.forEach(checkName);
    for (const name of names) {
      await context.api().deleteSecret(name, { signal });
      if (!context.json) context.out.write(`removed ${name}\n`);
    }
    if (context.json) context.writeJson({ removed: names });
    return exitCodes.completed;
  });
}

function checkName(name: string): void {
  const problem = explainBadSecretName(name);
  if (problem !== undefined) throw new CliError(exitCodes.usage, `'${oneLine(name)}' is no secret's name: ${problem}`);
}

async function readValue(context: Context, name: string, { value, file }: SecretSource): Promise<string> {
  const tooLong = () =>
    new CliError(exitCodes.usage, `${name} was not set: a secret has at most ${secretRules.valueBytes} bytes`);
  if (value !== undefined && file !== undefined) {
    throw new CliError(exitCodes.usage, `${name} was not set: give its value or --file, not both`);
  }
  if (value !== undefined) {
    context.note("a value on the command line is seen by other users of this machine and kept in the shell's history");
    return value;
  }
  if (file !== undefined) {
    try {
      return await readAll(createReadStream(resolve(context.runtime.cwd, file)), secretRules.valueBytes, tooLong);
    } catch (error) {
      if (error instanceof CliError || !(error instanceof Error) || !("code" in error)) throw error;
      throw new CliError(exitCodes.usage, `cannot read ${oneLine(file)}: ${error.code}`, { cause: error });
    }
  }
  const { stdin } = context.runtime;
  if (stdin.isTTY) return askHidden(stdin, `value of ${name} (not shown): `, (text) => context.err.write(text));
  // `echo` and editors end what they write by a line end that nobody means.
  return (await readAll(stdin, secretRules.valueBytes + 2, tooLong)).replace(/\r?\n$/, "");
}

function warnOfUnmasked({ note }: Context, value: string): void {
  const { minMaskedLength } = secretRules;
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  const isShort = (line: string) => line.length < minMaskedLength;
  if (isShort(value)) note(`it has fewer than ${minMaskedLength} characters: it will not be masked in logs`);
  else if (lines.length > 1 && lines.some((line) => line !== "" && isShort(line))) {
    note(`its lines of fewer than ${minMaskedLength} characters will not be masked in logs where they stand alone`);
  }
}

/** What the API tells, field by field: whatever else an answer may hold is not printed. */
function toJson({ name, updatedAt, updatedBy }: SecretDescription): SecretDescription {
  return { name, updatedAt, ...(updatedBy === undefined ? {} : { updatedBy }) };
}

const columns: readonly Column[] = [
  { heading: "SECRET", shrinkTo: 20 },
  { heading: "SET", align: "right" },
  { heading: "BY", shrinkTo: 8 },
];

function showSecrets({ out, runtime, note }: Context, secrets: readonly SecretDescription[]): void {
  const rows = secrets.map(({ name, updatedAt, updatedBy }) => [
    { text: oneLine(name) },
    { text: formatAge(runtime.now() - Date.parse(updatedAt)), style: "dim" as const },
    { text: oneLine(updatedBy ?? ""), style: "dim" as const },
  ]);
  out.writeLines(renderTable(columns, rows, { width: out.columns, style: out.style }));
  note(plural(secrets.length, "secret"));
}
