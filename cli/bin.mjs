#!/usr/bin/env node
// Plain JavaScript that old versions of Node can parse too: they get a sentence instead of a syntax error.
// The whole module: a name that it lacks in an old version would fail before anything could be said.
import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

const neededMajor = 24;
const major = Number(process.versions.node.split(".")[0]);

if (major < neededMajor) {
  process.stderr.write(
    `sluice needs Node ${neededMajor} or newer and was started by ${process.version}: install Node ${neededMajor} (https://nodejs.org), or run 'npm ci' and then 'npx --no sluice' in Sluice's own folder, which brings its own Node.\n`,
  );
  process.exitCode = 2;
} else {
  // In the user's own folder: Node's default lies in the shared temporary folder, where others could plant code.
  const cacheHome = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE || join(cacheHome, "sluice", "compile"));
  await import("./main.ts");
}
