import { realpathSync, writeSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { type CodeOutcome, findErrorPlace } from "../../shared/jobfile/code-job.ts";
import type { JobDefinition, JobInputs } from "../../shared/jobfile/define-job.ts";
import { toPlainValue } from "../../shared/jobfile/plain-value.ts";

/**
 * Runs the code of one job file and writes what it came to as one line behind a mark that nobody else writes. A
 * process of its own: code may wait for ever, end its process, or print to the stdout that `--json` keeps clean.
 */
const [path = "", mark = "", given = "{}"] = process.argv.slice(2);
const inputs = JSON.parse(given) as Pick<JobInputs, "args" | "params">;
// Modules are known by the file that a link leads to.
const fileUrl = pathToFileURL(realpathSync(path)).href;
const definitionUrl = new URL("../../shared/jobfile/define-job.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    // Job files lie anywhere, with or without packages beside them.
    if (specifier === "sluice") return { url: definitionUrl, shortCircuit: true };
    const resolved = nextResolve(specifier, context);
    // A module, whatever a package.json above it says.
    if (resolved.url !== fileUrl) return resolved;
    return { ...resolved, format: /\.m?ts$/.test(path) ? "module-typescript" : "module" };
  },
});
// What the code prints is for people.
process.stdout.write = process.stderr.write.bind(process.stderr);

const outcome = await runJobCode();
writeWhole(`\n${mark}${JSON.stringify(outcome)}\n`);
// Not left to timers and sockets that the code has opened.
process.exit(0);

async function runJobCode(): Promise<CodeOutcome> {
  try {
    const { default: definition } = (await import(fileUrl)) as { default?: JobDefinition };
    if (definition === undefined) {
      return { ok: false, message: "exports nothing by default; write export default defineJob({ … })" };
    }
    const { args, params } = inputs;
    const made: unknown =
      typeof definition === "function" ? await definition({ env: { ...process.env }, args, params }) : await definition;
    return { ok: true, ...toPlainValue(made) };
  } catch (error) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : `the code threw ${String(error)}`;
    return { ok: false, message, ...findErrorPlace(error instanceof Error ? String(error.stack) : "", fileUrl) };
  }
}

/** A pipe takes only so much at once. */
function writeWhole(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}
