import { createServer, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { applyFault, createFaultState, decideFault, type Fault, type FaultRules } from "./faults.ts";

function decideKinds(rules: FaultRules, operations: string[]): (string | undefined)[] {
  const state = createFaultState(rules, () => 0.5);
  return operations.map((operation) => decideFault(state, operation)?.kind);
}

describe("decideFault", () => {
  it("leaves requests alone without rules", () => {
    expect(decideKinds([], ["SendMessage", "PutObject"])).toEqual([undefined, undefined]);
  });

  it("fires for its own operation only, and for every one with a star", () => {
    expect(decideKinds([{ operation: "SendMessage", kind: "reset" }], ["SendMessage", "ReceiveMessage"])).toEqual([
      "reset",
      undefined,
    ]);
    expect(decideKinds([{ operation: "*", kind: "reset" }], ["SendMessage", "PutObject"])).toEqual(["reset", "reset"]);
  });

  it("fires on the nth matching request only", () => {
    const rules: FaultRules = [{ operation: "A", kind: "throttle", nth: 2 }];
    expect(decideKinds(rules, ["A", "B", "A", "A"])).toEqual([undefined, undefined, "throttle", undefined]);
  });

  it("fires on each nth matching request until its limit", () => {
    const rules: FaultRules = [{ operation: "A", kind: "error500", everyNth: 2, limit: 2 }];
    const kinds = decideKinds(rules, ["A", "A", "A", "A", "A", "A"]);
    expect(kinds).toEqual([undefined, "error500", undefined, "error500", undefined, undefined]);
  });

  it("compares its probability with the given source of randomness", () => {
    expect(decideKinds([{ operation: "A", kind: "reset", probability: 0.5 }], ["A"])).toEqual([undefined]);
    expect(decideKinds([{ operation: "A", kind: "reset", probability: 0.51 }], ["A"])).toEqual(["reset"]);
  });

  it("lets the first rule that fires win while later ones keep counting", () => {
    const rules: FaultRules = [
      { operation: "A", kind: "reset", nth: 1 },
      { operation: "*", kind: "throttle", nth: 2 },
    ];
    expect(decideKinds(rules, ["A", "A"])).toEqual(["reset", "throttle"]);
  });
});

type Answer = { status: number; type: string; body: string } | { error: string };

async function requestWithFault(
  fault: Fault,
  headers: Record<string, string>,
  serve: (response: ServerResponse) => void = (response) => response.end("done"),
): Promise<Answer> {
  const server = createServer(async (request, response) => {
    if ((await applyFault(fault, request, response)) === "continue") serve(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await new Promise<Answer>((resolve) => {
    const client = httpRequest({ host: "127.0.0.1", port, method: "POST", headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      const type = response.headers["content-type"] ?? "";
      response.on("end", () => resolve({ status: response.statusCode ?? 0, type, body }));
    });
    client.on("error", (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
    client.end("some body");
  });
  await new Promise((resolve) => server.close(resolve));
  return answer;
}

describe("applyFault", () => {
  const json = { "x-amz-target": "AmazonSQS.SendMessage" };

  it("answers throttling in the protocol of the request", async () => {
    const fault: Fault = { operation: "A", kind: "throttle", delayMs: 0 };
    expect(await requestWithFault(fault, json)).toEqual({
      status: 400,
      type: "application/x-amz-json-1.0",
      body: '{"__type":"ThrottlingException","message":"Rate exceeded"}',
    });
    const xml = await requestWithFault(fault, {});
    expect(xml).toMatchObject({ status: 503, type: "application/xml" });
    expect(xml).toHaveProperty("body", expect.stringContaining("<Code>SlowDown</Code>"));
  });

  it("answers server errors with their status", async () => {
    expect(await requestWithFault({ operation: "A", kind: "error500", delayMs: 0 }, json)).toMatchObject({
      status: 500,
    });
    expect(await requestWithFault({ operation: "A", kind: "error503", delayMs: 0 }, {})).toMatchObject({ status: 503 });
  });

  it("breaks the connection on reset and after a timeout", async () => {
    expect(await requestWithFault({ operation: "A", kind: "reset", delayMs: 0 }, json)).toEqual({
      error: "ECONNRESET",
    });
    const timedOut = await requestWithFault({ operation: "A", kind: "timeout", delayMs: 20 }, json);
    expect(timedOut).toEqual({ error: "ECONNRESET" });
  });

  it("breaks the connection in place of the answer when that is to be lost, after the operation's effect", async () => {
    const fault: Fault = { operation: "A", kind: "lost_answer", delayMs: 0 };
    const effects: string[] = [];
    const answers = [
      (response: ServerResponse) => response.writeHead(200, { "content-type": "text/plain" }).end("done"),
      (response: ServerResponse) => response.end("done"),
      (response: ServerResponse) => response.write("half"),
    ];
    for (const answer of answers) {
      const serve = (response: ServerResponse) => {
        effects.push("made");
        answer(response);
      };
      expect(await requestWithFault(fault, json, serve)).toEqual({ error: "ECONNRESET" });
    }
    expect(effects).toHaveLength(3);
  });

  it("goes on as usual after a delay", async () => {
    const answer = await requestWithFault({ operation: "A", kind: "delay", delayMs: 10 }, json);
    expect(answer).toMatchObject({ status: 200, body: "done" });
  });
});
