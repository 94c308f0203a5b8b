import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultRules } from "../aws/faults.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

let database: Server;
let proxy: FaultProxy | undefined;
let seen: { target: string | undefined; body: string }[];

beforeEach(async () => {
  seen = [];
  database = createServer(async (request: IncomingMessage, response) => {
    const body = await text(request);
    seen.push({ target: request.headers["x-amz-target"] as string | undefined, body });
    response.writeHead(200, { "content-type": "application/x-amz-json-1.0", "x-own": "kept" }).end(`got ${body}`);
  });
  await new Promise<void>((resolve) => database.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  await proxy?.close();
  database.closeAllConnections();
  await new Promise((resolve) => database.close(resolve));
});

async function open(rules: FaultRules): Promise<void> {
  const { port } = database.address() as AddressInfo;
  proxy = await startFaultProxy({ target: new URL(`http://127.0.0.1:${port}`), rules });
}

const call = (operation: string, body: string) =>
  fetch(proxy?.url ?? "", { method: "POST", body, headers: { "x-amz-target": `DynamoDB_20120810.${operation}` } });

describe("the fault proxy", () => {
  it("passes requests and answers on as they are", async () => {
    await open([]);
    const answer = await call("GetItem", "a question");
    expect([answer.status, answer.headers.get("x-own"), await answer.text()]).toEqual([200, "kept", "got a question"]);
    expect(seen).toEqual([{ target: "DynamoDB_20120810.GetItem", body: "a question" }]);
  });

  it("injects faults by the operation's name, which then takes no effect", async () => {
    await open([{ operation: "UpdateItem", kind: "throttle", nth: 1 }]);
    expect((await call("GetItem", "a")).status).toBe(200);
    const throttled = await call("UpdateItem", "b");
    expect([throttled.status, await throttled.json()]).toMatchObject([400, { __type: "ThrottlingException" }]);
    expect((await call("UpdateItem", "c")).status).toBe(200);
    expect(seen.map(({ body }) => body)).toEqual(["a", "c"]);
  });

  it("loses an answer after its operation took effect, and goes on", async () => {
    await open([{ operation: "UpdateItem", kind: "lost_answer", nth: 1 }]);
    await expect(call("UpdateItem", "a")).rejects.toThrow("fetch failed");
    expect(await (await call("UpdateItem", "b")).text()).toBe("got b");
    expect(seen.map(({ body }) => body)).toEqual(["a", "b"]);
  });

  it("breaks the connection where the database is away", async () => {
    await open([]);
    database.closeAllConnections();
    await new Promise((resolve) => database.close(resolve));
    await expect(call("GetItem", "a")).rejects.toThrow("fetch failed");
  });
});
