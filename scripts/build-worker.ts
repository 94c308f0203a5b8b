/**
 * `npm run build:worker [-- FILE]`: the worker as one file that Node runs without anything beside it, for machines that
 * have nothing else of Sluice. Built with the bundler of SST's platform, as the functions are.
 */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { installPlatform, root } from "./plan/install.ts";

interface Bundler {
  build(options: Record<string, unknown>): Promise<unknown>;
}

/** The commit, marked where there is more than it; undefined outside of a clone. */
function readBuild(): string | undefined {
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", root, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short=12", "HEAD") + (changed ? "+changes" : "");
  } catch (error) {
    process.stderr.write(
      `no commit is known: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}\n`,
    );
    return undefined;
  }
}

const build = readBuild();
const outfile = resolve(process.argv[2] ?? join(root, "dist", "worker.mjs"));
await installPlatform((line) => process.stdout.write(`${line}\n`));
const bundler = createRequire(join(root, ".sst", "platform", "package.json"))("esbuild") as Bundler;
await bundler.build({
  entryPoints: [join(root, "workers", "main.ts")],
  outfile,
  bundle: true,
  minify: true,
  keepNames: true,
  // A crash prints the line it is in.
  lineLimit: 160,
  platform: "node",
  format: "esm",
  target: "node22",
  // Faster ways of a library that does without them.
  external: ["cpu-features", "*.node"],
  // Some packages are CommonJS: they ask for Node's own modules by `require`, and where they are.
  banner: {
    js:
      'import { createRequire as createWorkerRequire } from "node:module"; const require = createWorkerRequire(import.meta.url);' +
      " const __dirname = import.meta.dirname;",
  },
  tsconfigRaw: "{}",
  define: build === undefined ? {} : { SLUICE_BUILD: JSON.stringify(build) },
});
process.stdout.write(`${outfile}\n`);
