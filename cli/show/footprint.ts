import { formatBytes, formatDuration, formatNumber } from "../../shared/domain/format.ts";
import type { Footprint } from "../../shared/domain/metric-sample.ts";

/** Percent of one core, as whole as it can be: `0.4 %`, `63 %`, `1,540 %`. */
export function formatPercent(percent: number): string {
  const rounded = percent >= 9.95 ? Math.round(percent) : Math.round(percent * 10) / 10;
  return `${formatNumber(rounded)} %`;
}

/** What an attempt used, in one line; traffic that did not happen is left out. */
export function describeFootprint(footprint: Footprint): string {
  const { cpuAvg, cpuMax, memoryMax, readBytes, writtenBytes, receivedBytes, sentBytes, oomKills } = footprint;
  const disk = describeTraffic([
    [readBytes, "read"],
    [writtenBytes, "written"],
  ]);
  const network = describeTraffic([
    [receivedBytes, "received"],
    [sentBytes, "sent"],
  ]);
  return [
    `cpu ${formatPercent(cpuAvg)} of a core (max ${formatPercent(cpuMax)})`,
    `memory ${formatBytes(memoryMax)}`,
    disk && `disk ${disk}`,
    network && `network ${network}`,
    oomKills > 0 ? `${formatNumber(oomKills)} killed for lack of memory` : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}

/** How long an attempt's task had waited for it; nothing worth telling below a tenth of a second. */
export function describeWait(waitedMs: number | undefined): string {
  return waitedMs === undefined || waitedMs < 100 ? "" : `waited ${formatDuration(waitedMs)}`;
}

function describeTraffic(parts: readonly (readonly [bytes: number, verb: string])[]): string {
  return parts.flatMap(([bytes, verb]) => (bytes > 0 ? [`${formatBytes(bytes)} ${verb}`] : [])).join(" ");
}
