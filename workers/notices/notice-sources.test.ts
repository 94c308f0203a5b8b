import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startMetadataServer } from "../../test/support/metadata-server.ts";
import { createEc2Sources } from "./ec2-notices.ts";
import { createFileSource } from "./file-notice.ts";
import { createOpenStackSource } from "./openstack-notices.ts";

const deadlineMs = 5_000;
const nothing = { kind: "told", notices: [] };

async function openEc2(nowMs = Date.now) {
  const metadata = await startMetadataServer();
  const sources = createEc2Sources(new URL(metadata.url), nowMs);
  const read = () => Promise.all(sources.map((source) => source.read(deadlineMs)));
  return { metadata, read };
}

describe("EC2's notices", () => {
  it("are none while the service answers 404", async () => {
    const { read, metadata } = await openEc2();
    expect(await read()).toEqual([nothing, nothing, nothing]);
    expect(metadata.tokens.size).toBe(1);
  });

  it("are read as EC2 writes them", async () => {
    const { read, metadata } = await openEc2();
    const time = new Date(Date.now() + 120_000).toISOString().replace(/\.\d+Z$/, "Z");
    metadata.ec2.set("spot/instance-action", JSON.stringify({ action: "terminate", time }));
    metadata.ec2.set("events/recommendations/rebalance", '{"noticeTime":"2026-11-22T08:22:00Z"}');
    const event = {
      NotBefore: "21 Jan 2037 09:00:43 GMT",
      NotAfter: "21 Jan 2037 09:17:23 GMT",
      EventId: "instance-event-0",
    };
    const events = [
      { ...event, Code: "system-reboot", Description: "scheduled reboot", State: "active" },
      { ...event, Code: "instance-stop", Description: "[Completed] scheduled stop", State: "completed" },
      { ...event, Code: "instance-retirement", Description: "[Canceled] retirement", State: "active" },
      {
        ...event,
        Code: "system-maintenance",
        NotBefore: "21 Jan 2019 09:00:43 GMT",
        NotAfter: "21 Jan 2019 09:17:23 GMT",
      },
    ];
    metadata.ec2.set("events/maintenance/scheduled", JSON.stringify(events));
    const [spot, rebalance, scheduled] = await read();
    const ends = expect.objectContaining({
      kind: "ends",
      detail: `EC2 spot interruption: terminate at ${time.replace("Z", ".000Z")}`,
    });
    expect(spot).toEqual({ kind: "told", notices: [ends] });
    expect(rebalance).toMatchObject({ kind: "told", notices: [{ kind: "at_risk" }] });
    expect(scheduled).toMatchObject({
      kind: "told",
      notices: [{ kind: "event", detail: expect.stringContaining("system-reboot from 2037-01-21T09:00:43") }],
    });
  });

  it("are told by the machine's own clock, however wrong that is", async () => {
    const skewMs = 300_000;
    const { read, metadata } = await openEc2(() => Date.now() + skewMs);
    const endMs = Date.now() + 120_000;
    metadata.ec2.set("spot/instance-action", JSON.stringify({ action: "stop", time: new Date(endMs).toISOString() }));
    const [spot] = await read();
    const atMs = spot?.kind === "told" && spot.notices[0]?.kind === "ends" ? spot.notices[0].atMs : 0;
    expect(Math.abs(atMs - skewMs - endMs)).toBeLessThan(30_000);
  });

  it("give two minutes where the time makes no sense", async () => {
    const { read, metadata } = await openEc2(() => 0);
    metadata.ec2.set("spot/instance-action", '{"action":"terminate","time":"soon"}');
    const [spot] = await read();
    expect(spot).toMatchObject({ kind: "told", notices: [{ kind: "ends" }] });
  });

  it.each([
    ["a refusal", 401, ""],
    ["an error", 500, "oops"],
    ["a web page", 200, "<html></html>"],
    ["something unknown", 200, '{"action":"dance"}'],
    ["nothing at all", 200, ""],
  ])("are unknown where the service answers with %s", async (_name, status, text) => {
    const { read, metadata } = await openEc2();
    metadata.mood = { kind: "all", status, text };
    for (const reading of await read()) expect(reading).toMatchObject({ kind: "silent", why: expect.any(String) });
  });

  it("are unknown where the service goes bad after it gave a token", async () => {
    const { read, metadata } = await openEc2();
    await read();
    for (const [status, text] of [
      [401, ""],
      [500, ""],
      [200, '{"action":"dance"}'],
    ] as const) {
      metadata.mood = { kind: "all", status, text };
      for (const reading of await read()) expect(reading.kind).toBe("silent");
    }
  });
});

describe("OpenStack's server property", () => {
  it.each([
    [{}, nothing],
    [{ meta: { other: "1" } }, nothing],
    [{ meta: { sluice_drain: "no" } }, nothing],
    [{ meta: { sluice_drain: "now" } }, { kind: "told", notices: [{ kind: "retire", detail: expect.any(String) }] }],
    [
      { meta: { sluice_drain: "2037-01-21T09:00:00Z" } },
      { kind: "told", notices: [{ kind: "event", detail: expect.any(String), atMs: Date.UTC(2037, 0, 21, 9) }] },
    ],
    [{ meta: { sluice_drain: "tomorrow" } }, { kind: "silent", why: expect.stringContaining("tomorrow") }],
    [{ meta: "none" }, { kind: "silent", why: expect.any(String) }],
  ])("in %j", async (told, reading) => {
    const metadata = await startMetadataServer();
    metadata.openStack = told;
    expect(await createOpenStackSource(new URL(metadata.url)).read(deadlineMs)).toEqual(reading);
  });
});

describe("a notice file", () => {
  it.each([
    ["", { kind: "retire" }],
    ['{"action":"drain"}', { kind: "retire" }],
    ['{"action":"drain","at":"2037-01-21T10:00:00+01:00"}', { kind: "event", atMs: Date.UTC(2037, 0, 21, 9) }],
    ['{"action":"terminate"}', { kind: "ends", atMs: 1_000 + 120_000 }],
    [
      '{"action":"terminate","at":"2037-01-21T09:00:00Z","detail":"rack 7"}',
      { kind: "ends", atMs: Date.UTC(2037, 0, 21, 9) },
    ],
  ])("with %j is a notice", async (text, notice) => {
    const file = join(await makeFolder(), "notice");
    const source = createFileSource(file, () => 1_000);
    expect(await source.read(deadlineMs)).toEqual(nothing);
    await writeFile(file, text);
    expect(await source.read(deadlineMs)).toMatchObject({ kind: "told", notices: [notice] });
    await rm(file);
    expect(await source.read(deadlineMs)).toEqual(nothing);
  });

  it.each(["{", '{"action":"dance"}', '{"action":"drain","at":"soon"}', "x".repeat(100_000)])(
    "with something else is none",
    async (text) => {
      const file = join(await makeFolder(), "notice");
      await writeFile(file, text);
      expect(await createFileSource(file, Date.now).read(deadlineMs)).toMatchObject({ kind: "silent" });
    },
  );

  it("that is a folder is none", async () => {
    const file = join(await makeFolder(), "notice");
    await mkdir(file);
    expect(await createFileSource(file, Date.now).read(deadlineMs)).toMatchObject({ kind: "silent" });
  });
});

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-notice-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}
