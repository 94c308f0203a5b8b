import { expect, it, onTestFinished } from "vitest";
import { createLogger } from "../shared/log.ts";
import { parseConfig } from "./config.ts";
import { MachineWatch } from "./machine-watch.ts";

it("knows after a drain that was undone of a Docker that went away meanwhile", () => {
  const parsed = parseConfig({ SLUICE_URL: "http://a", SLUICE_TOKEN: "hush" }, { cores: 1, cwd: "/" });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const changes: boolean[] = [];
  const watch: MachineWatch = new MachineWatch({
    config: parsed.config,
    client: { clockSkewMs: undefined },
    isIdle: () => true,
    removeRemains: async () => undefined,
    onChange: () => void changes.push(watch.takesTasks),
    onDrain: () => undefined,
    nowMs: () => performance.now(),
    log: createLogger("test", { level: "silent" }),
  });
  onTestFinished(() => watch.stop());
  watch.start(undefined);
  watch.goQuiet();
  watch.missDocker("it does not answer");
  expect(changes).toEqual([]);
  watch.resume();
  expect(changes).toEqual([false]);
  expect(watch.health).toMatchObject({
    state: "recovering",
    problem: { what: "docker", detail: "it does not answer" },
  });
});
