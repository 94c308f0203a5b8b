/**
 * `npm run build:worker [-- FILE]`: the worker as one file that Node runs without anything beside it, for machines that
 * have nothing else of Sluice. Built with the bundler of SST's platform, as the functions are.
 */
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { installPlatform, root } from "./plan/install.ts";

interface Bundler {
  build(options: Record<string, unknown>): Promise<unknown>;
}

const outfile = resolve(process.argv[2] ?? join(root, "dist", "worker.mjs"));
await installPlatform((line) => process.stdout.write(`${line}\n`));
const { build } = createRequire(join(root, ".sst", "platform", "package.json"))("esbuild") as Bundler;
await build({
  entryPoints: [join(root, "workers", "main.ts")],
  outfile,
  bundle: true,
  minify: true,
  keepNames: true,
  platform: "node",
  format: "esm",
  target: "node22",
  // Faster ways of a library that does without them.
  external: ["cpu-features", "*.node"],
  // Some packages are CommonJS and ask for Node's own modules by `require`.
  banner: {
    js: 'import { createRequire as createWorkerRequire } from "node:module"; const require = createWorkerRequire(import.meta.url);',
  },
  tsconfigRaw: "{}",
});
process.stdout.write(`${outfile}\n`);
