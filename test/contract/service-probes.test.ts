import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HealthSpec } from "../../shared/jobfile/job-spec.ts";
import type { RunningService } from "../../workers/executors/executor.ts";
import { createProbe } from "../../workers/services/probes.ts";
import { TextFinder } from "../../workers/services/text-finder.ts";

const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(`${request.headers.host}${request.url}`);
  if (request.url === "/hangs") return;
  response.writeHead(Number(request.url?.slice(1)), { location: "/200" }).end();
});
let port = 0;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Looks once at a service that is at this address. */
function probe(check: HealthSpec["check"], address?: string, signal = new AbortController().signal) {
  const running = { address } as RunningService;
  return createProbe(check, { name: "web", running, finder: new TextFinder("x") })(signal);
}

describe("a probe", () => {
  it.each([
    [200, true],
    [204, true],
    [302, true],
    [399, true],
    [404, false],
    [503, false],
  ])("by http takes the status %i for %s, by the name of the service, and follows nothing", async (status, healthy) => {
    asked.length = 0;
    const result = await probe({ kind: "http", port, path: `/${status}` }, "127.0.0.1");
    expect(result).toEqual(
      healthy ? { healthy } : { healthy, why: `:${port}/${status} answered with status ${status}` },
    );
    expect(asked).toEqual([`web:${port}/${status}`]);
  });

  it("by http or tcp ends with its signal", async () => {
    const stop = new AbortController();
    const waiting = probe({ kind: "http", port, path: "/hangs" }, "127.0.0.1", stop.signal);
    stop.abort();
    expect(await waiting).toMatchObject({ healthy: false });
    expect(await probe({ kind: "tcp", port }, "127.0.0.1", stop.signal)).toMatchObject({ healthy: false });
  });

  it("by tcp succeeds where somebody listens", async () => {
    expect(await probe({ kind: "tcp", port }, "127.0.0.1")).toEqual({ healthy: true });
    const refused = await probe({ kind: "tcp", port: 9 }, "127.0.0.1");
    expect(refused).toMatchObject({ healthy: false, why: expect.stringContaining("no connection to port 9: ") });
  });

  it("says so where the service has no address", async () => {
    await expect(async () => probe({ kind: "tcp", port })).rejects.toThrow("no address in the task's network");
  });
});
