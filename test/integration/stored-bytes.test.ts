import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { fetchFile } from "../../cli/transfer/fetch-file.ts";
import { readStoredBytes } from "../../shared/api-client/stored-bytes.ts";

const content = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 31) % 251));

/** How the store answers one request. `bytes`: how many come before the connection is cut. */
interface Turn {
  bytes?: number;
  status?: number;
  etag?: string;
  ignoresRange?: boolean;
  wrongRange?: boolean;
  hangs?: boolean;
}

/** A store that answers each request as its turn says, the last one for all others. */
async function openStore(turns: Turn[]) {
  const requests: Pick<IncomingMessage, "url" | "headers">[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { bytes, status, etag = '"v1"', ...turn } = turns[Math.min(requests.length, turns.length - 1)] ?? {};
    requests.push({ url: request.url ?? "", headers: request.headers });
    if (turn.hangs) return;
    const condition = request.headers["if-match"];
    if (status !== undefined || (condition !== undefined && condition !== etag)) {
      response.writeHead(status ?? 412).end();
      return;
    }
    const from = turn.ignoresRange ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const body = content.subarray(from);
    const range = `bytes ${turn.wrongRange ? 1 : from}-${content.length - 1}/${content.length}`;
    const headers = { etag, "content-length": body.length, ...(from > 0 && { "content-range": range }) };
    response.writeHead(from > 0 ? 206 : 200, headers);
    if (bytes === undefined) response.end(body);
    else response.write(body.subarray(0, bytes), () => response.destroy());
  };
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const { port } = server.address() as AddressInfo;
  let links = 0;
  const link = () => `http://127.0.0.1:${port}/${++links}`;
  const read = async (idleMs?: number) => {
    const { signal } = new AbortController();
    const options = { link, signal, isFinal: (status: number) => status === 404, ...(idleMs && { idleMs }) };
    return Buffer.concat(await Array.fromAsync(readStoredBytes(options)));
  };
  return { read, link, requests };
}

describe("reading a stored object", () => {
  it("goes on behind the last byte of the same object, by a new link, wherever the connection breaks off", async () => {
    const { read, requests } = await openStore([{ bytes: 100_000 }, { bytes: 0 }, { bytes: 150_000 }, {}]);
    expect((await read()).equals(content)).toBe(true);
    expect(requests.map(({ url }) => url)).toEqual(["/1", "/2", "/3", "/4"]);
    // What had arrived unread when the connection ended may be lost with it.
    const [none, ...starts] = requests.map(({ headers }) => /^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1]);
    expect(none).toBeUndefined();
    expect(Number(starts[0])).toBeGreaterThan(0);
    expect(starts[1]).toBe(starts[0]);
    expect(Number(starts[2])).toBeGreaterThan(Number(starts[1]));
    expect(requests.map(({ headers }) => headers["if-match"])).toEqual([undefined, '"v1"', '"v1"', '"v1"']);
  });

  it("passes over what came before where the store begins anew all the same", async () => {
    const { read } = await openStore([
      { bytes: 100_000 },
      { ignoresRange: true, bytes: 120_000 },
      { ignoresRange: true },
    ]);
    expect((await read()).equals(content)).toBe(true);
  });

  it("ends where the object is another one by then, or the store's word is final", async () => {
    const changed = await openStore([{ bytes: 100_000 }, { etag: '"v2"' }]);
    await expect(changed.read()).rejects.toMatchObject({ status: 412, message: expect.stringContaining("changed") });
    expect(changed.requests).toHaveLength(2);
    const anew = await openStore([
      { bytes: 100_000, etag: 'W/"v1"' },
      { etag: 'W/"v2"', wrongRange: true },
    ]);
    await expect(anew.read()).rejects.toThrow("not what follows byte 100000");
    const gone = await openStore([{ status: 404 }]);
    await expect(gone.read()).rejects.toMatchObject({ status: 404 });
    expect(gone.requests).toHaveLength(1);
  });

  it("begins anew, as a whole file, where the object is another one by then", async () => {
    const { link, requests } = await openStore([{ bytes: 100_000 }, { status: 412 }, {}]);
    const folder = await mkdtemp(join(tmpdir(), "sluice-stored-bytes-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const { signal } = new AbortController();
    const sha256 = createHash("sha256").update(content).digest("hex");
    const target = join(folder, "file");
    const file = { link: async () => link(), target, size: content.length, sha256, signal };
    expect(await fetchFile(file)).toEqual({ ok: true });
    expect((await readFile(target)).equals(content)).toBe(true);
    expect(await readdir(folder)).toEqual(["file"]);
    expect(requests).toHaveLength(3);
  });

  it("gives up when several connections in a row bring nothing, and says why", async () => {
    const failing = await openStore([{ bytes: 100_000 }, { status: 503 }]);
    await expect(failing.read()).rejects.toThrow("the store answered 503");
    expect(failing.requests).toHaveLength(4);
    const silent = await openStore([{ hangs: true }]);
    await expect(silent.read(20)).rejects.toThrow("nothing came for 0.02 s");
    expect(silent.requests).toHaveLength(3);
  });

  it("ends with the reason of whoever does not want it any more", async () => {
    const { signal } = new AbortController();
    const stop = new AbortController();
    const link = () => {
      stop.abort(new Error("not wanted"));
      return "http://127.0.0.1:1/";
    };
    const either = AbortSignal.any([signal, stop.signal]);
    await expect(readStoredBytes({ link, signal: either, isFinal: () => false }).next()).rejects.toThrow("not wanted");
  });
});
