import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";
import { uploadBlob } from "./upload-blob.ts";

const partBytes = 10_000;
const content = randomBytes(4 * partBytes + 123);
const digest = `sha256:${"a".repeat(64)}`;

let folder: string;
let file: string;
let server: Server;
/** Parts as the store has them; of an upload that was given up nothing is left. */
let stored: Map<number, Buffer>;
let completed: Buffer | undefined;
let puts: number[];
/** What the store does instead of taking a part, in the order of the requests. */
let faults: ("refuse" | "cut" | "damage")[];
let conflicts: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-upload-"));
  file = join(folder, "blob");
  await writeFile(file, content);
  stored = new Map();
  completed = undefined;
  puts = [];
  faults = [];
  conflicts = 0;
  server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
    const fault = faults.shift();
    if (fault === "cut") return request.socket.destroy();
    const arrived = fault === "damage" ? Buffer.from(body).fill(0, 0, 1) : body;
    const isSame = md5(arrived) === Buffer.from(String(request.headers["content-md5"]), "base64").toString("hex");
    if (fault === "refuse" || !isSame) return response.writeHead(fault === "refuse" ? 503 : 400).end();
    const part = Number(request.url?.slice(1));
    puts.push(part);
    stored.set(part, arrived);
    response.writeHead(200, { etag: `"${md5(arrived)}"` }).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(folder, { recursive: true });
});

function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}

/** The control plane, as far as uploads know it. */
function fakeApi(): ApiClient {
  const url = (part: number) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${part}`;
  const api: Partial<ApiClient> = {
    uploadBlob: async () => {
      const arrived = [...stored].map(([part, bytes]) => ({ part, etag: md5(bytes) }));
      return completed ? { status: "stored" } : { status: "parts", uploadId: "u", partBytes, arrived };
    },
    linkBlobParts: async (_digest, _uploadId, parts) => ({ links: parts.map((part) => ({ part, url: url(part) })) }),
    completeBlob: async (_digest, { parts }) => {
      const sent = parts?.sent ?? [];
      const isWhole = sent.every(({ part, etag }) => md5(stored.get(part) ?? Buffer.alloc(0)) === etag);
      if (conflicts-- > 0 || !isWhole) throw new ApiError({ status: 409, code: "conflict", detail: "other parts" });
      completed = Buffer.concat(sent.map(({ part }) => stored.get(part) ?? Buffer.alloc(0)));
    },
  };
  return api as ApiClient;
}

function upload(signal = new AbortController().signal, onProgress: () => void = () => undefined) {
  const backoff = { firstMs: 1, longestMs: 2 };
  return uploadBlob(fakeApi(), {
    ...{ digest, file, bytes: content.length, signal, transfers: pLimit(2), onProgress, backoff },
  });
}

describe("uploadBlob", () => {
  it("sends a large blob in parts, each once", async () => {
    expect(await upload()).toEqual({ arrivedBytes: content.length, sentBytes: content.length });
    expect(puts.toSorted()).toEqual([1, 2, 3, 4, 5]);
    expect(completed?.equals(content)).toBe(true);
    expect(await upload()).toEqual({ arrivedBytes: 0, sentBytes: 0 });
  });

  it("sends only what has not arrived before, and what arrived otherwise", async () => {
    stored.set(1, content.subarray(0, partBytes));
    stored.set(2, Buffer.from("made by another version"));
    stored.set(5, content.subarray(4 * partBytes));
    expect(await upload()).toEqual({ arrivedBytes: content.length, sentBytes: 3 * partBytes });
    expect(puts.toSorted()).toEqual([2, 3, 4]);
    expect(completed?.equals(content)).toBe(true);
  });

  it("goes on where an interrupted one was", async () => {
    const stop = new AbortController();
    await expect(upload(stop.signal, () => puts.length >= 2 && stop.abort(new Error("stopped")))).rejects.toThrow(
      "stopped",
    );
    const before = new Set(stored.keys());
    expect(before.size).toBeGreaterThanOrEqual(2);
    puts = [];
    await upload();
    expect(puts.toSorted()).toEqual([1, 2, 3, 4, 5].filter((part) => !before.has(part)));
    expect(completed?.equals(content)).toBe(true);
  });

  it("sends a part again that was refused, cut off or damaged on its way", async () => {
    faults = ["refuse", "cut", "damage", "refuse"];
    expect((await upload()).arrivedBytes).toBe(content.length);
    expect(completed?.equals(content)).toBe(true);
  });

  it("gives up where the store takes nothing, and says that what was sent is kept", async () => {
    faults = Array.from({ length: 100 }, () => "refuse");
    await expect(upload()).rejects.toThrow(/the store answered 503; try again, what was sent is kept/);
  });

  it("looks again at what is there where another sender got in between", async () => {
    conflicts = 2;
    await upload();
    expect(puts.toSorted()).toEqual([1, 2, 3, 4, 5]);
    expect(completed?.equals(content)).toBe(true);
  });
});
