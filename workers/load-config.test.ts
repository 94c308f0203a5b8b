import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "./load-config.ts";

describe("loadConfig", () => {
  let folder: string;
  const uid = process.getuid?.() ?? 0;
  const load = (env: Record<string, string>) => loadConfig({ env, host: { cores: 2, cwd: folder, uid } });
  const write = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), mode);
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("takes what the file says, and the environment over it", () => {
    write("worker.env", "SLUICE_URL=http://a\nSLUICE_TOKEN=hush\nSLUICE_POOL=big\nAWS_REGION=r\nAWS_PROFILE=p");
    const { parsed, forOthers } = load({ SLUICE_CONFIG: "worker.env", SLUICE_POOL: "small", AWS_PROFILE: "mine" });
    expect(parsed).toMatchObject({ ok: true, config: { pool: "small", controlPlaneUrl: new URL("http://a") } });
    expect(forOthers).toEqual({ AWS_REGION: "r" });
  });

  it("tells all problems of file and environment at once", () => {
    write("worker.env", "SLUICE_SLOT=1\nSLUICE_POOL=Big Pool");
    const { parsed, warnings } = load({ SLUICE_CONFIG: "worker.env", SLUICE_POOLS: "x", SLUICE_TASK_FQN: "j/t" });
    expect(parsed).toEqual({
      ok: false,
      problems: [
        expect.stringContaining("worker.env, line 1: SLUICE_SLOT is not known: did you mean SLUICE_SLOTS?"),
        expect.stringContaining("SLUICE_URL is missing"),
        expect.stringContaining("SLUICE_TOKEN is missing"),
        expect.stringContaining("SLUICE_POOL is a pool's name"),
      ],
    });
    expect(warnings).toEqual([expect.stringContaining("SLUICE_POOLS is not known: did you mean SLUICE_POOL?")]);
  });

  it("refuses files that others may read, that are not there, and two tokens", () => {
    write("worker.env", "SLUICE_URL=http://a\nSLUICE_TOKEN=hush", 0o640);
    const problems = (env: Record<string, string>) => {
      const { parsed } = load(env);
      return parsed.ok ? [] : parsed.problems;
    };
    expect(problems({ SLUICE_CONFIG: "worker.env" })[0]).toMatch(/open to others \(mode 640\): chmod 600/);
    expect(problems({ SLUICE_URL: "http://a", SLUICE_TOKEN_FILE: "none" })).toEqual([
      expect.stringContaining("SLUICE_TOKEN_FILE"),
    ]);
    write("token", "hush\n");
    expect(problems({ SLUICE_URL: "http://a", SLUICE_TOKEN_FILE: "token", SLUICE_TOKEN: "x" })).toEqual([
      expect.stringContaining("both set"),
    ]);
  });

  it("reads the token from its file, again when asked", () => {
    write("token", "first\n");
    const { parsed, readToken } = load({ SLUICE_URL: "http://a", SLUICE_TOKEN_FILE: "token" });
    expect(parsed.ok && parsed.config.token.reveal()).toBe("first");
    write("token", "second\n");
    expect(readToken?.()?.reveal()).toBe("second");
    write("token", "");
    expect(readToken?.()).toBeUndefined();
  });
});
