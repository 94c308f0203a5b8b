import { gunzipSync } from "node:zlib";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import type { ApiEnv } from "./auth.ts";
import { compress } from "./compress.ts";

const long = { text: "long ".repeat(1000) };

function createApp() {
  const app = new Hono<ApiEnv>();
  const source = { cancelled: false };
  let send: (text: string) => void = () => undefined;
  app.use(compress());
  app.get("/long", (c) => c.json(long));
  app.post("/long", (c) => c.json(long));
  app.get("/short", (c) => c.json({ a: 1 }));
  app.get("/stream", (c) => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        send = (text) => controller.enqueue(new TextEncoder().encode(text));
      },
      cancel: () => {
        source.cancelled = true;
      },
    });
    return c.body(body, 200, { "content-type": "text/event-stream" });
  });
  return { app, source, send: (text: string) => send(text) };
}

const gzip = { headers: { "accept-encoding": "br;q=1, gzip;q=0.8" } };

describe("the packing of answers", () => {
  it("packs what is read and long, for who takes it", async () => {
    const { app } = createApp();
    const packed = await app.request("/long", gzip);
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(packed.headers.get("content-type")).toContain("application/json");
    const bytes = Buffer.from(await packed.arrayBuffer());
    expect(bytes.length).toBeLessThan(500);
    expect(JSON.parse(gunzipSync(bytes).toString())).toEqual(long);

    const asIs = ["/short", "/long", "/long", "/long"];
    const requests = [gzip, {}, { headers: { "accept-encoding": "gzip;q=0, br" } }, { ...gzip, method: "POST" }];
    for (const [index, path] of asIs.entries()) {
      const answer = await app.request(path, requests[index]);
      expect(answer.headers.get("content-encoding")).toBeNull();
      expect(await answer.json()).toEqual(path === "/short" ? { a: 1 } : long);
    }
  });

  it("hands on each message of a stream at once, and tells the source when its reader is gone", async () => {
    const { app, source, send } = createApp();
    const answer = await app.request("/stream", gzip);
    expect(answer.headers.get("content-encoding")).toBe("gzip");
    const reader = answer.body?.pipeThrough(new DecompressionStream("gzip")).getReader();
    for (const message of ["data: 1\n\n", "data: 2\n\n"]) {
      send(message);
      const { value } = (await reader?.read()) ?? {};
      expect(new TextDecoder().decode(value)).toBe(message);
    }
    await reader?.cancel();
    await expect.poll(() => source.cancelled).toBe(true);
  });
});
