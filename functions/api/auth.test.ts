import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { AppError } from "../../shared/domain/errors.ts";
import { type ApiEnv, authenticate, requireRole } from "./auth.ts";

function createDoor() {
  let nowMs = 0;
  let reads = 0;
  const tokens = new Map([["secret", { name: "ann", role: "viewer" as const }]]);
  const app = new Hono<ApiEnv>();
  app.onError((error, c) => c.json({ code: error instanceof AppError ? error.code : "fault" }, 418 as never));
  const find = async (token: string) => {
    reads += 1;
    return tokens.get(token);
  };
  app.use(authenticate({ tokens: { find, put: async () => undefined }, now: () => nowMs }));
  app.get("/", requireRole("viewer"), (c) => c.json({ code: c.var.principal.name }));
  const knock = async (token: string) => {
    const response = await app.request("/", { headers: { authorization: `bearer ${token}` } });
    return ((await response.json()) as { code: string }).code;
  };
  return {
    knock,
    tokens,
    reads: () => reads,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("who calls", () => {
  it("is remembered for half a minute, and then looked up again", async () => {
    const door = createDoor();
    for (let calls = 0; calls < 5; calls++) expect(await door.knock("secret")).toBe("ann");
    expect(door.reads()).toBe(1);
    door.advance(30_001);
    expect(await door.knock("secret")).toBe("ann");
    expect(door.reads()).toBe(2);
  });

  it("is refused half a minute after the token was revoked, at the latest", async () => {
    const door = createDoor();
    await door.knock("secret");
    door.tokens.delete("secret");
    door.advance(30_001);
    expect(await door.knock("secret")).toBe("unauthorized");
  });

  it("is not remembered as unknown: a token works as soon as it exists", async () => {
    const door = createDoor();
    expect(await door.knock("new")).toBe("unauthorized");
    door.tokens.set("new", { name: "bob", role: "viewer" });
    expect(await door.knock("new")).toBe("bob");
  });

  it("is kept in a bounded memory", async () => {
    const door = createDoor();
    for (let count = 0; count < 2500; count++) door.tokens.set(`t${count}`, { name: `n${count}`, role: "viewer" });
    for (let count = 0; count < 2500; count++) expect(await door.knock(`t${count}`)).toBe(`n${count}`);
    expect(await door.knock("t0")).toBe("n0");
  });
});
