import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { attachToOutput } from "./attached-output.ts";

/** A daemon that does with a connection what it is told; answers its address. */
async function openDaemon(serve: (socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => serve(socket));
  });
  const path = join(tmpdir(), `sluice-attach-${process.pid}-${Math.random().toString(36).slice(2)}.sock`);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { kind: "socket", path } as const;
}

const upgraded = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

describe("attached output", () => {
  it("comes whole and in order, also what came with the answer, and no faster than it is taken", async () => {
    const sent = Buffer.alloc(1_000_000, "0123456789");
    const address = await openDaemon((socket) => {
      socket.write(upgraded.slice(0, 20));
      setImmediate(() => {
        socket.write(Buffer.concat([Buffer.from(upgraded.slice(20)), sent.subarray(0, 15)]));
        socket.end(sent.subarray(15));
      });
    });
    const output = await attachToOutput(address, "c1");
    const taken: Buffer[] = [];
    let isBusy = false;
    let overlaps = 0;
    const fault = await output.read((bytes) => {
      if (isBusy) overlaps++;
      taken.push(Buffer.from(bytes));
      if (taken.length % 2 === 0) return undefined;
      isBusy = true;
      return new Promise<void>((resolve) =>
        setImmediate(() => {
          isBusy = false;
          resolve();
        }),
      );
    });
    expect({ fault, overlaps }).toEqual({ fault: undefined, overlaps: 0 });
    expect(Buffer.concat(taken).equals(sent)).toBe(true);
  });

  it("tells a refusal as the client of Docker does", async () => {
    const body = JSON.stringify({ message: 'no such container: "c1"' });
    const address = await openDaemon((socket) =>
      socket.write(
        `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
    );
    await expect(attachToOutput(address, "c1")).rejects.toMatchObject({
      statusCode: 404,
      json: { message: 'no such container: "c1"' },
    });
  });

  it("tells what broke it: a daemon that goes away, one that hangs up at once, a taker that fails, an end that was asked for", async () => {
    const hangsUp = await openDaemon((socket) => socket.destroy());
    await expect(attachToOutput(hangsUp, "c1")).rejects.toThrow(/closed the connection|ECONNRESET/);
    await expect(attachToOutput({ kind: "socket", path: "/nowhere/docker.sock" }, "c1")).rejects.toThrow("ENOENT");
    const flowing = await openDaemon((socket) => socket.write(`${upgraded}some`));
    const failing = await attachToOutput(flowing, "c1");
    const full = new Error("the disk is full");
    expect(await failing.read(() => Promise.reject(full))).toBe(full);
    const ended = await attachToOutput(flowing, "c1");
    const reading = ended.read(() => undefined);
    ended.destroy();
    expect(await reading).toMatchObject({ message: "the connection was closed before the end" });
  });
});
