import { expect, test } from "vitest";
import { describeFootprint, describeWait } from "./footprint.ts";

const nothing = {
  sampledMs: 5_000,
  cpuAvg: 0,
  cpuMax: 0,
  memoryMax: 0,
  readBytes: 0,
  writtenBytes: 0,
  receivedBytes: 0,
  sentBytes: 0,
  oomKills: 0,
};

test("tells of cpu and memory always, of traffic and kills where there were some", () => {
  expect(describeFootprint(nothing)).toBe("cpu 0 % of a core (max 0 %), memory 0 B");
  const busy = {
    ...nothing,
    cpuAvg: 149.6,
    cpuMax: 1_540.2,
    memoryMax: 2.1e9,
    writtenBytes: 31e6,
    sentBytes: 1,
    oomKills: 2,
  };
  expect(describeFootprint(busy)).toBe(
    "cpu 150 % of a core (max 1,540 %), memory 2.1 GB, disk 31 MB written, network 1 B sent, 2 killed for lack of memory",
  );
});

test("tells how long a task had waited, unless it hardly had", () => {
  expect([undefined, 20, 2_500].map(describeWait)).toEqual(["", "", "waited 2.5 s"]);
});
