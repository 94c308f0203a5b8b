import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { createControlPlaneClient } from "../../workers/control-plane-client.ts";
import { Secret } from "../../workers/secret.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function openClient(handler: Handler, path = "", readToken?: () => Secret | undefined) {
  const sockets = new Set<unknown>();
  const server = createServer((request, response) => {
    sockets.add(request.socket);
    request.resume();
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = createControlPlaneClient(new URL(`http://127.0.0.1:${port}${path}`), new Secret("hush"), readToken);
  onTestFinished(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const beat = (deadlineMs = 5_000) => client.beat("w", { state: "alive", slotsFree: 1, attempts: [] }, { deadlineMs });
  return { client, beat, sockets };
}

describe("the control plane client", () => {
  it("sends its token to the path below its URL, over one connection", async () => {
    const seen: string[] = [];
    const { beat, sockets } = await openClient((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.end(JSON.stringify({ drain: false, attempts: [] }));
    }, "/base/");
    expect(await beat()).toEqual({ drain: false, attempts: [] });
    await beat();
    expect(seen).toEqual(Array(2).fill("POST /base/v1/workers/w/heartbeat Bearer hush"));
    expect(sockets.size).toBe(1);
  });

  it.each([
    [401, false],
    [404, false],
    [409, false],
    [408, true],
    [429, true],
    [500, true],
    [503, true],
  ])("tells of status %i whether trying again makes sense (%s)", async (status, retryable) => {
    const { beat } = await openClient((_request, response) => {
      const problem = { type: "about:blank", title: "no", status, code: "some_code", detail: "because" };
      response.writeHead(status).end(JSON.stringify(problem));
    });
    await expect(beat()).rejects.toMatchObject({
      status,
      retryable,
      message: expect.stringContaining("some_code: because"),
    });
  });

  it("does not wait longer than the deadline, nor for who breaks off", async () => {
    const silent = await openClient(() => undefined);
    await expect(silent.beat(50)).rejects.toMatchObject({ retryable: true, message: expect.stringContaining("50 ms") });
    const rude = await openClient((request) => request.socket.destroy());
    await expect(rude.beat()).rejects.toMatchObject({ retryable: true, status: undefined });
  });

  it("refuses an answer that is something else", async () => {
    const { beat } = await openClient((_request, response) => response.end("<html>"));
    await expect(beat()).rejects.toMatchObject({ retryable: true, message: expect.stringContaining("than expected") });
  });

  it("reads its token again when it is refused, and goes on with the new one at once", async () => {
    let valid = "hush";
    let stored: string | undefined = "hush";
    const { beat } = await openClient(
      (request, response) => {
        const isKnown = request.headers.authorization === `Bearer ${valid}`;
        response.writeHead(isKnown ? 200 : 401).end(isKnown ? JSON.stringify({ drain: false, attempts: [] }) : "{}");
      },
      "",
      () => (stored === undefined ? undefined : new Secret(stored)),
    );
    await beat();
    [valid, stored] = ["next", "next"];
    await Promise.all([beat(), beat()]);
    // Revoked before the new one is there, or while its file is being written: worth another try.
    valid = "third";
    await expect(beat()).rejects.toMatchObject({ status: 401, retryable: true });
    stored = undefined;
    await expect(beat()).rejects.toMatchObject({ status: 401, retryable: true });
    stored = "third";
    await beat();
  });
});
