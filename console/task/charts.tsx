import { useEffect, useRef } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useDark } from "../app/theme.ts";
import { type Chart, type ChartMarks, findTop } from "./chart-data.ts";
import { formatTick, formatValue } from "./chart-text.ts";

const heightPx = 150;
const axisPx = 64;

interface ChartsProps {
  charts: readonly Chart[];
  marks: ChartMarks;
  range: [number, number];
  /** Charts with the same one share their cursor. */
  group: string;
}

/** Small charts on one span of time; what is under the cursor in one is told in all. */
export default function Charts({ charts, marks, range, group }: ChartsProps) {
  const isDark = useDark();
  return (
    <div className="charts">
      {charts.map((chart) => (
        // Colours are read as it is made; which lines there are cannot change afterwards.
        <ChartView
          key={`${chart.key} ${chart.lines.map(({ label }) => label).join(" ")} ${isDark}`}
          {...{ chart, marks, range, group }}
        />
      ))}
    </div>
  );
}

type ChartViewProps = Omit<ChartsProps, "charts"> & { chart: Chart };

function ChartView(props: ChartViewProps) {
  const { chart, group } = props;
  const place = useRef<HTMLDivElement>(null);
  const values = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const shown = useRef(props);
  shown.current = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: made once; what changes is given to it below
  useEffect(() => {
    const [element, head] = [place.current, values.current];
    if (!element || !head) return;
    const options = plan(chart, { group, element, head }, () => shown.current);
    const made = new UPlot(options, toData(chart), element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(toData(chart)), [chart]);
  return (
    <figure className="chart">
      <figcaption>{chart.title}</figcaption>
      {/* The numbers are in the table that can be shown in its place. */}
      <div ref={values} className="chart-values" aria-hidden="true" />
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

function toData({ times, lines }: Chart): UPlot.AlignedData {
  return [times, ...lines.map(({ values }) => values)];
}

interface Places {
  group: string;
  element: HTMLElement;
  /** Where the values under the cursor stand. */
  head: HTMLElement;
}

function plan(chart: Chart, { group, element, head }: Places, shown: () => ChartViewProps): UPlot.Options {
  const [text, grid, band, bad] = ["--dim", "--line", "--band", "--bad"].map((name) => readColor(element, name));
  const colors = { text: text ?? "", grid: grid ?? "", band: band ?? "", bad: bad ?? "" };
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const axis: UPlot.Axis = {
    stroke: colors.text,
    font,
    grid: { stroke: colors.grid, width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: heightPx,
    padding: [8, 26, 0, 0],
    legend: { markers: { width: 0, fill: strokeOf }, mount: (_plot, legend) => head.append(legend) },
    cursor: { sync: { key: group }, dataIdx: findNearest, drag: { x: false, y: false }, y: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: () => shown().range },
      y: { range: () => [0, findTop(shown().chart)] },
    },
    axes: [
      { ...axis, space: 70, size: 26, values: (_plot, ticks) => ticks.map(formatTick), grid: { show: false } },
      {
        ...axis,
        space: 28,
        size: axisPx,
        values: (_plot, ticks) => ticks.map((tick) => formatValue(tick, chart.unit)),
      },
    ],
    series: [
      { label: "at", value: (_plot, time) => (time == null ? "" : formatTick(time)) },
      ...chart.lines.map(({ label, color, isLimit }): UPlot.Series => {
        const stroke = isLimit ? colors.bad : readColor(element, `--chart-${color}`);
        return {
          label,
          stroke,
          width: 1.5,
          ...(isLimit ? { dash: [5, 4] } : {}),
          points: { show: (plot, series) => countPoints(plot, series) < 3 },
          value: (_plot, value) => (value === null || value === undefined ? "–" : formatValue(value, chart.unit)),
        };
      }),
    ],
    hooks: {
      drawClear: [(plot) => drawBands(plot, shown().marks, colors, font)],
      draw: [(plot) => drawKills(plot, shown().marks, colors.bad)],
    },
  };
}

function strokeOf(plot: UPlot, at: number): string {
  const { stroke } = plot.series[at] ?? {};
  return typeof stroke === "function" ? String(stroke(plot, at)) : String(stroke ?? "transparent");
}

/** A colour as the canvas takes it: of the theme that is shown. */
function readColor(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Lines have points of their own times: what is told is the nearest point of each. */
function findNearest(plot: UPlot, series: number, hovered: number): number {
  const values = plot.data[series];
  if (!values || values[hovered] !== undefined) return hovered;
  for (let away = 1; away < values.length; away++) {
    if (values[hovered - away] != null) return hovered - away;
    if (values[hovered + away] != null) return hovered + away;
  }
  return hovered;
}

/** A line of a point or two is not seen as one. */
function countPoints(plot: UPlot, series: number): number {
  let count = 0;
  for (const value of plot.data[series] ?? []) if (value != null) count++;
  return count;
}

function drawBands(plot: UPlot, { bands }: ChartMarks, colors: { band: string; text: string }, font: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = font.replace(/^\d+px/, `${10 * devicePixelRatio}px`);
  ctx.textBaseline = "top";
  for (const [at, { label, from, to }] of bands.entries()) {
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
    ctx.fillStyle = colors.band;
    if (at % 2 === 0) ctx.fillRect(left, bbox.top, Math.max(1, right - left), bbox.height);
    ctx.fillStyle = colors.text;
    if (right - left > 12 * devicePixelRatio) ctx.fillText(label, left + 3 * devicePixelRatio, bbox.top + 2);
  }
  ctx.restore();
}

function drawKills(plot: UPlot, { kills }: ChartMarks, color: string): void {
  const { ctx, bbox } = plot;
  const size = 4 * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.setLineDash([]);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const at of kills) {
    const x = plot.valToPos(at, "x", true);
    const y = bbox.top + size * 1.5;
    ctx.beginPath();
    ctx.moveTo(x, y + size);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
    ctx.stroke();
  }
  ctx.restore();
}
