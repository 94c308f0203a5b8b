import { ScrollRegion } from "../ui/scroll-region.tsx";
import type { Chart } from "./chart-data.ts";
import { formatValue } from "./chart-text.ts";

/** What charts show, as numbers. */
export function UseTable({ charts }: { charts: readonly Chart[] }) {
  const times = [...new Set(charts.flatMap(({ times }) => times))].sort((a, b) => a - b);
  const columns = charts.flatMap((chart) =>
    chart.lines.map((line) => {
      const values = new Map(chart.times.map((time, at) => [time, line.values[at]]));
      return { key: `${chart.key} ${line.label}`, name: `${chart.title}: ${line.label}`, unit: chart.unit, values };
    }),
  );
  const rows = times.filter((time) => columns.some(({ values }) => values.get(time) != null));
  return (
    <ScrollRegion className="use-table" label="What it used, as numbers">
      <table className="table">
        <thead>
          <tr>
            <th>At</th>
            {columns.map(({ key, name }) => (
              <th key={key} className="right">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((time) => (
            <tr key={time}>
              <td className="number">{new Date(time * 1000).toLocaleTimeString("sv-SE")}</td>
              {columns.map(({ key, unit, values }) => {
                const value = values.get(time);
                return (
                  <td key={key} className="right number">
                    {value == null ? "–" : formatValue(value, unit)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}
