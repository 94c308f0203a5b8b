import { formatBytes, formatNumber } from "../../shared/domain/format.ts";
import type { ChartUnit } from "./chart-data.ts";

/** A time of a chart (seconds since the epoch), to the second. */
export function formatTick(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString("sv-SE");
}

/** A number of a chart with its unit. */
export function formatValue(value: number, unit: ChartUnit): string {
  switch (unit) {
    case "percent":
      return `${value < 10 && value % 1 !== 0 ? value.toFixed(1) : formatNumber(Math.round(value))} %`;
    case "bytes":
      return formatBytes(value);
    case "rate":
      return `${formatBytes(value)}/s`;
    case "count":
      return formatNumber(Math.round(value * 10) / 10);
  }
}
