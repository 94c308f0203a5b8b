import { describe, expect, it } from "vitest";
import { createApiClient } from "./client.ts";

/** A client whose streams carry these messages, and what it asked for. */
function streamClient(messages: readonly { event: string; data: object }[]) {
  const asked: string[] = [];
  const text = messages.map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${event}\n\n`);
  const answer = async (input: string | URL | Request) => {
    const { pathname, search } = new URL(String(input));
    asked.push(pathname + search);
    return new Response(`${text.join("")}event: end\ndata: {}\n\n`, {
      headers: { "content-type": "text/event-stream" },
    });
  };
  return { client: createApiClient({ url: "http://control.test", fetch: answer as typeof fetch }), asked };
}

describe("what is followed", () => {
  it("of the overview are its parts, one at a time, as they change", async () => {
    const at = "2026-01-05T08:00:00.000Z";
    const parts = [
      { at, pools: [] },
      { at, queues: [] },
    ];
    const { client, asked } = streamClient([
      { event: "pools", data: parts[0] ?? {} },
      { event: "queues", data: parts[1] ?? {} },
    ]);
    expect(await Array.fromAsync(client.followOverview(["pools", "queues"]))).toEqual(parts);
    expect(asked).toEqual(["/v1/overview?parts=pools%2Cqueues"]);
  });

  it("of the workers are those that are new or have changed, and those that are gone", async () => {
    const { client } = streamClient([
      { event: "worker", data: { workerId: "w-1" } },
      { event: "left", data: { workerId: "w-2" } },
    ]);
    expect(await Array.fromAsync(client.followWorkers())).toEqual([
      { kind: "worker", worker: { workerId: "w-1" } },
      { kind: "left", workerId: "w-2" },
    ]);
  });
});
