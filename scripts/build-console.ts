/** `npm run build:console`: the web console as files, in console/dist. Where its packages are not installed it says so. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
let build: typeof import("vite").build;
try {
  ({ build } = await import("vite"));
} catch (error) {
  if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
  process.stdout.write(
    "the console is not built: its packages are development dependencies, which are not installed\n",
  );
  process.exit(0);
}
await build({ configFile: join(root, "console", "vite.config.ts"), logLevel: "warn" });
