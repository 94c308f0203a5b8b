import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { ControlPlaneError } from "../control-plane-call.ts";
import { loadConfig } from "../load-config.ts";
import { runDoctor } from "./doctor.ts";
import { examineControlPlane, judgeClock } from "./examine-control-plane.ts";
import { examineNode, judgeStopTimeout } from "./examine-machine.ts";

describe("a worker's doctor", () => {
  it("tells every problem of a configuration, and stops there", async () => {
    const env = { SLUICE_SLOTS: "none", SLUICE_POOLS: "x" };
    const loaded = loadConfig({ env, host: { cores: 2, cwd: tmpdir(), uid: 0 } });
    let text = "";
    const write = (more: string) => {
      text += more;
    };
    const code = await runDoctor({
      loaded,
      version: "1.2.3",
      build: "abc",
      nodeVersion: "v24.1.0",
      json: false,
      write,
    });
    expect(code).toBe(1);
    expect(text).toMatch(/^sluice-worker 1\.2\.3 \(abc\)\n {2}Node {11}ok/);
    for (const told of ["SLUICE_URL is missing", "SLUICE_SLOTS is a whole", "did you mean SLUICE_POOL?"]) {
      expect(text).toContain(told);
    }
  });

  it("knows a Node that is too old", () => {
    expect(examineNode("v22.9.0")).toMatchObject({ status: "failed", detail: expect.stringContaining("at least 24") });
    expect(examineNode("v24.0.0").status).toBe("ok");
  });

  it.each([
    ["1min 30s", "ok"],
    ["30s", "ok"],
    ["infinity", "ok"],
    ["25s 900ms", "failed"],
    ["10s", "failed"],
  ])("compares a stop timeout of %s with a drain of 25 s", (timeout, status) => {
    expect(judgeStopTimeout(25_000, timeout)).toMatchObject({ status });
  });

  it("bears a little between two clocks, and no minutes", () => {
    const at = Date.parse("Mon, 05 Jan 2026 08:00:00 GMT");
    const judge = (ownMs: number) => judgeClock("Mon, 05 Jan 2026 08:00:00 GMT", ownMs, ownMs + 50).status;
    expect([at + 4_000, at + 30_000, at - 30_000, at + 600_000].map(judge)).toEqual([
      "ok",
      "warning",
      "warning",
      "failed",
    ]);
    expect(judgeClock(null, at, at).status).toBe("skipped");
  });

  it("tells a control plane from what is none, and a token that is taken from one that is not", async () => {
    let body = JSON.stringify({ status: "ok", version: "1.2.3" });
    const server = createServer((_, answer) => answer.end(body));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const examine = async (status: number) => {
      const beat = () => Promise.reject(new ControlPlaneError(`answered ${status}`, { status, retryable: false }));
      const options = { url, version: "1.2.3", client: { beat }, unusedWorkerId: "w", nowMs: Date.now };
      const findings = await examineControlPlane(options);
      return findings.map(({ check, status: found }) => `${check} ${found}`);
    };
    try {
      expect(await examine(404)).toEqual(["control plane ok", "clock ok", "token ok"]);
      expect(await examine(401)).toEqual(["control plane ok", "clock ok", "token failed"]);
      body = "<html>";
      expect(await examine(404)).toEqual(["control plane failed"]);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await examine(404)).toEqual(["control plane failed"]);
  });
});
