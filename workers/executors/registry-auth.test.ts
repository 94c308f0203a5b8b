import { describe, expect, it } from "vitest";
import { Secret } from "../secret.ts";
import { findCredentials, listSecretParts } from "./registry-auth.ts";

const auth = (user: string, password: string) => Buffer.from(`${user}:${password}`).toString("base64");
const config = (auths: object) => new Secret(JSON.stringify({ auths, credsStore: "desktop" }));

describe("findCredentials", () => {
  it.each([
    ["registry.example.com/team/tool:1", "https://registry.example.com/v2/"],
    ["registry.example.com:5000/tool@sha256:00", "registry.example.com:5000"],
    ["localhost/tool", "localhost"],
    ["node:24", "https://index.docker.io/v1/"],
    ["team/tool", "docker.io"],
    ["index.docker.io/team/tool", "registry-1.docker.io"],
  ])("finds those of %s under %s", (reference, server) => {
    const found = findCredentials(config({ [server]: { auth: auth("anna", "a:b") } }), reference);
    expect(found).toEqual({ username: "anna", password: "a:b", serveraddress: server });
  });

  it("takes those of the longest name that the image's begins with", () => {
    const both = config({
      "r.example.com": { username: "all", password: "one" },
      "r.example.com/team": { username: "team", password: "two" },
    });
    expect(findCredentials(both, "r.example.com/team/tool")?.username).toBe("team");
    expect(findCredentials(both, "r.example.com/teams/tool")?.username).toBe("all");
    expect(findCredentials(both, "other.example.com/tool")).toBeUndefined();
    expect(findCredentials(both, "r.example.com.evil.net/tool")).toBeUndefined();
  });

  it("passes tokens on", () => {
    const token = config({ "r.io": { identitytoken: "t0ken" } });
    expect(findCredentials(token, "r.io/tool")).toEqual({ identitytoken: "t0ken", serveraddress: "r.io" });
  });

  it.each(["no json with hunter2", "[]", '{"auths": {"a": "hunter2"}}', "{}"])(
    "does not repeat what is wrong: %s",
    (text) => {
      try {
        findCredentials(new Secret(text), "node");
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ reason: { code: "image_unavailable", fault: "user" } });
        expect(String(error)).not.toContain("hunter2");
      }
    },
  );
});

describe("listSecretParts", () => {
  it("tells passwords, tokens and their encodings, but no names", () => {
    const parts = listSecretParts(
      config({ "r.io": { auth: auth("anna", "p4ss") }, "s.io": { identitytoken: "t0ken" } }),
    );
    expect(parts).toEqual(expect.arrayContaining(["p4ss", "t0ken", auth("anna", "p4ss")]));
    expect(parts).not.toContain("anna");
    expect(listSecretParts(new Secret("broken"))).toEqual(["broken"]);
  });
});
