import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { listFamily, listProcesses } from "../support/chaos/processes.ts";
import { eventually } from "../support/eventually.ts";

const script = fileURLToPath(new URL("../../scripts/chaos.ts", import.meta.url));

it("stops everything it started at Ctrl-C, and exits with 130", { timeout: 180_000 }, async () => {
  const args = ["--kills", "100", "--seed", "1", "--no-docker"];
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  let text = "";
  child.stdout.on("data", (data: Buffer) => {
    text += data.toString();
  });
  await eventually(() => text.includes("3/105 "), "three kills");
  const family = listFamily(listProcesses(), child.pid ?? 0);
  expect(family.length).toBeGreaterThan(5);
  child.kill("SIGINT");
  expect(await exited).toBe(130);
  expect(text).toContain("no verdict");
  const before = new Set(family.map(({ pid, startTicks }) => `${pid}/${startTicks}`));
  const isOfFamily = ({ pid, startTicks }: { pid: number; startTicks: string }) => before.has(`${pid}/${startTicks}`);
  await eventually(async () => !listProcesses().some(isOfFamily), "the end of all its processes");
});

it("says what is wrong with its options, and exits with 2", () => {
  const { status, stderr } = spawnSync(process.execPath, [script, "--kills", "many", "--workers", "1"]);
  expect(status).toBe(2);
  expect(String(stderr)).toContain("--kills is a whole number from 0 on; it is 'many'");
  expect(String(stderr)).toContain("--workers is a whole number from 2 on");
  expect(String(stderr)).toContain("Usage: npm run chaos");
  const unknown = spawnSync(process.execPath, [script, "--kill", "3"]);
  expect(unknown.status).toBe(2);
  expect(String(unknown.stderr)).toMatch(/^Unknown option '--kill'.*\nUsage: npm run chaos/s);
});
