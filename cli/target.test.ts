import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resolveTarget, type TargetInput } from "./target.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-target-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function writeStack(content: unknown, base = folder): void {
  mkdirSync(join(base, ".sluice"), { recursive: true });
  writeFileSync(join(base, ".sluice", "stack.json"), typeof content === "string" ? content : JSON.stringify(content));
}

function resolve(input: Partial<TargetInput> = {}) {
  return resolveTarget({ urlFlag: undefined, tokenFlag: undefined, env: {}, cwd: folder, ...input });
}

describe("the control plane to speak to", () => {
  const stack = { url: "http://127.0.0.1:4777", token: "local-token", pid: 1 };

  it("is the local stack of the nearest folder upwards", () => {
    writeStack(stack);
    const deeper = join(folder, "a", "b");
    mkdirSync(deeper, { recursive: true });
    expect(resolve({ cwd: deeper })).toEqual({ url: stack.url, token: "local-token", byFlag: false });
  });

  it("is where the local stack usually is when there is no word of it", () => {
    expect(resolve()).toEqual({ url: "http://127.0.0.1:4400", token: undefined, byFlag: false });
  });

  it("is named by the flag before the environment before the local stack", () => {
    writeStack(stack);
    const env = { SLUICE_URL: "https://env.example.com/", SLUICE_TOKEN: "env-token" };
    expect(resolve({ env })).toEqual({ url: "https://env.example.com", token: "env-token", byFlag: false });
    const urlFlag = "https://flag.example.com/base/";
    expect(resolve({ env, urlFlag, tokenFlag: "t" })).toEqual({
      url: "https://flag.example.com/base",
      token: "t",
      byFlag: true,
    });
  });

  it("gets the local stack's token only if it is the local stack", () => {
    writeStack(stack);
    expect(resolve({ urlFlag: "https://elsewhere.example.com" }).token).toBeUndefined();
    expect(resolve({ urlFlag: `${stack.url}/` }).token).toBe("local-token");
  });

  it("is not there where the nearest local stack was stopped, unless another is named or runs further up", () => {
    const deeper = join(folder, "a");
    mkdirSync(join(deeper, ".sluice"), { recursive: true });
    writeFileSync(join(deeper, ".sluice", "state.json"), "{}");
    const message = expect.stringContaining(
      `the local stack of ${deeper} is not running; start it with \`sluice dev\``,
    );
    expect(() => resolve({ cwd: deeper })).toThrow(expect.objectContaining({ exitCode: 4, message }));
    const urlFlag = "https://flag.example.com";
    expect(resolve({ cwd: deeper, urlFlag }).url).toBe(urlFlag);
    writeStack(stack);
    expect(resolve({ cwd: deeper }).url).toBe(stack.url);
  });

  it("is never another machine because a folder says so", () => {
    writeStack({ url: "https://evil.example.com", token: "x" });
    expect(resolve().url).toBe("http://127.0.0.1:4400");
  });

  it.each(["", "{", "[]", '{"url": 7}', '{"url": "nonsense"}'])("is not taken from a damaged file: %s", (content) => {
    writeStack(content);
    expect(resolve().url).toBe("http://127.0.0.1:4400");
  });

  it.each(["nonsense", "ftp://x", "http://user:secret@x"])("refuses %s as a URL with exit code 2", (urlFlag) => {
    expect(() => resolve({ urlFlag })).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it("refuses a token that cannot be one, without showing it", () => {
    expect(() => resolve({ tokenFlag: "two words" })).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.not.stringContaining("two words") }),
    );
  });
});
