import { spawn } from "node:child_process";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Docker from "dockerode";
import { ensureBusyboxImage } from "../test/support/docker-images.ts";
import { startLocalStack } from "../test/support/local-stack.ts";

/**
 * `npm run demo`: starts a local stack of its own, runs `examples/hello.yaml` on it as a user would, fetches the
 * artifacts, stops the stack and leaves nothing behind. Its exit code is that of the job.
 */
const root = fileURLToPath(new URL("..", import.meta.url));

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function explainMissingDocker(): Promise<string | undefined> {
  const docker = new Docker();
  try {
    await docker.ping();
  } catch {
    return "Docker cannot be reached here";
  }
  try {
    await ensureBusyboxImage(docker);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function runSluice(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, "cli/bin.mjs"), ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: "inherit",
    });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

const folder = await mkdtemp(join(tmpdir(), "sluice-demo-"));
let code = 1;
try {
  // The command runs in a folder that goes away afterwards, so that what it says of its files is true nowhere else.
  await symlink(join(root, "examples"), join(folder, "examples"));
  const problem = await explainMissingDocker();
  const file = problem === undefined ? "examples/hello.yaml" : "examples/hello-host.yaml";
  if (problem !== undefined) say(`${problem}: the steps of this demo run as processes on this machine.`);
  say("Starting the local stack …");
  const stack = await startLocalStack({ dataDir: join(folder, "data") });
  // A first Ctrl-C reaches the command in the foreground too, which stops watching; the stack is stopped all the same.
  process.on("SIGINT", () => say("stopping"));
  try {
    const args = ["run", file, "-o", "artifacts"];
    say(`$ sluice ${args.join(" ")}`);
    code = await runSluice(args, folder, { SLUICE_URL: stack.url, SLUICE_TOKEN: stack.token });
  } finally {
    await stack.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
say("The stack is stopped, its folder and the artifacts are removed.");
say(code === 0 ? "The demo's job completed (exit code 0)." : `The demo's job did not complete (exit code ${code}).`);
process.exitCode = code;
