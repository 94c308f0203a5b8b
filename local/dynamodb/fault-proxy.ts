import { once } from "node:events";
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { applyFault, createFaultState, decideFault, type FaultRules } from "../aws/faults.ts";

/** A running proxy on 127.0.0.1. */
export interface FaultProxy {
  url: string;
  port: number;
  close(): Promise<void>;
}

/**
 * Starts a proxy in front of the embedded DynamoDB that injects faults: the database is a program of its own and knows
 * of none. Rules name operations of tables (`GetItem`) and of streams (`GetRecords`) alike.
 */
export async function startFaultProxy(options: {
  target: URL;
  rules: FaultRules;
  /** A free one by default. */
  port?: number;
}): Promise<FaultProxy> {
  const faults = createFaultState(options.rules);
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (request, response) => {
    const fault = decideFault(faults, readOperationName(request));
    if (fault !== undefined && (await applyFault(fault, request, response)) === "answered") return;
    try {
      await forward(request, response, options.target, agent);
    } catch {
      // The database or the client is gone: the other side learns of it as it would without a proxy.
      response.destroy();
    }
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

async function forward(request: IncomingMessage, response: ServerResponse, target: URL, agent: Agent): Promise<void> {
  const { method, url, rawHeaders } = request;
  const onward = httpRequest(new URL(url ?? "/", target), { method, agent, headers: rawHeaders });
  const answered = once(onward, "response") as Promise<[IncomingMessage]>;
  const [[answer]] = await Promise.all([answered, pipeline(request, onward)]);
  response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
  if (response.destroyed) answer.resume();
  else await pipeline(answer, response);
}

function readOperationName(request: IncomingMessage): string {
  const target = request.headers["x-amz-target"];
  return typeof target === "string" ? target.slice(target.indexOf(".") + 1) : "";
}
