import { describe, expect, it } from "vitest";
import type { EcrToken } from "../../shared/clients/ecr.ts";
import { EcrLogin, findEcrRegistry } from "./ecr-login.ts";

const never = new AbortController().signal;
const hour = 3_600_000;
const image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/tool:1";

describe("the registries of AWS", () => {
  it.each([
    ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", { region: "eu-west-1", domain: "amazonaws.com" }],
    ["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", { region: "cn-north-1", domain: "amazonaws.com.cn" }],
  ])("know %s", (host, registry) => {
    expect(findEcrRegistry(host)).toEqual(registry);
  });

  it.each([
    "public.ecr.aws",
    "docker.io",
    "12345.dkr.ecr.eu-west-1.amazonaws.com",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
    "123456789012.dkr.ecr.evil.example/.amazonaws.com",
    "evil.example?123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com:444",
  ])("show no token to %s", (host) => {
    expect(findEcrRegistry(host)).toBeUndefined();
  });
});

describe("EcrLogin", () => {
  it("asks once for all, keeps a token until shortly before its end, and renews what was refused", async () => {
    let nowMs = 0;
    let asked = 0;
    const client = async (): Promise<EcrToken> => {
      asked++;
      return { username: "AWS", password: `token-${asked}`, expiresAtMs: nowMs + 12 * hour };
    };
    const login = new EcrLogin({ client, nowMs: () => nowMs });
    const passwords = async (times = 1) =>
      Promise.all(
        Array.from({ length: times }, async () => (await login.forImage(image)?.getCredentials(never))?.password),
      );
    expect(await passwords(3)).toEqual(["token-1", "token-1", "token-1"]);
    nowMs = 11.4 * hour;
    expect(await passwords()).toEqual(["token-1"]);
    nowMs = 11.6 * hour;
    expect(await passwords()).toEqual(["token-2"]);
    login.forImage(image)?.forget();
    expect(await passwords()).toEqual(["token-3"]);
    expect(login.forImage("docker.io/library/node:24")).toBeUndefined();
  });
});
