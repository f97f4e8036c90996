// Charts over time, on uPlot: stacked bars of counts, and lines.

import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { useTheme } from "./theme";

export interface Series {
  name: string;
  /** Which of the palette's colours: a CSS variable's name. */
  color: string;
  values: number[];
}

/**
 * A chart, redrawn when its size, its data or the theme change. What it shows is said in `label`; where the
 * figures matter one by one, a table stands beside it.
 */
export function Chart({
  label,
  times,
  series,
  kind,
  format,
  height = 180,
  span,
}: {
  label: string;
  /** Unix seconds, ascending. */
  times: number[];
  series: Series[];
  kind: "bars" | "areas" | "lines";
  format: (value: number) => string;
  height?: number;
  /** The seconds up to the last time that are shown, whether there is something of each or not. */
  span?: number;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { theme } = useTheme();
  const shape = series.map((each) => `${each.name}\u0000${each.color}`).join("\u0001");
  const data = aligned(times, series, kind !== "lines");
  const latest = useRef({ data, series, format });
  latest.current = { data, series, format };

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const style = getComputedStyle(element);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const shown = kind === "lines" ? latest.current.series : [...latest.current.series].reverse();
    const axis: uPlot.Axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const options: uPlot.Options = {
      width: Math.max(200, element.clientWidth),
      height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: {
          time: true,
          ...(span === undefined ? {} : { range: (_: uPlot, __: number, max: number): [number, number] => [max - span, max] }),
        },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
      },
      axes: [
        { ...axis, space: 72, values: (plot, ticks) => ticks.map((tick) => moment(tick, plot)) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => latest.current.format(tick)) },
      ],
      series: [
        {},
        ...shown.map((each): uPlot.Series => {
          const stroke = color(each.color);
          const base: uPlot.Series = { label: each.name, stroke, points: { show: false } };
          if (kind === "lines") return { ...base, width: 2 };
          const filled: uPlot.Series = { ...base, fill: stroke, width: 0 };
          const bars = uPlot.paths.bars?.({ size: [0.8, 40], gap: 1 });
          return kind === "bars" && bars ? { ...filled, paths: bars } : filled;
        }),
      ],
    };
    const made = new uPlot(options, latest.current.data, element);
    plot.current = made;
    const watcher = new ResizeObserver(() => {
      made.setSize({ width: Math.max(200, element.clientWidth), height });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [kind, shape, height, span, theme]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  return (
    <figure className="chart">
      <div ref={host} role="img" aria-label={label} />
      {series.length > 1 && (
        <figcaption className="legend">
          {series.map((each) => (
            <span key={each.name} className="legend-item">
              <Swatch color={each.color} /> {each.name}
            </span>
          ))}
        </figcaption>
      )}
    </figure>
  );
}

const two = (number: number) => String(number).padStart(2, "0");

/** A tick in as few words as tell it from its neighbours. */
function moment(tick: number, plot: uPlot): string {
  const at = new Date(tick * 1_000);
  const { min = 0, max = 0 } = plot.scales["x"] ?? {};
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const shown = (max ?? 0) - (min ?? 0);
  if (shown <= 600) return `${clock}:${two(at.getSeconds())}`;
  if (shown <= 2 * 86_400) return clock;
  return at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

function Swatch({ color }: { color: string }) {
  return <span className="swatch" style={{ background: `var(${color})` }} aria-hidden="true" />;
}

/** Stacked: each series on those before it, the topmost first, so that the lower ones are drawn over it. */
function aligned(times: number[], series: Series[], isStacked: boolean): uPlot.AlignedData {
  if (!isStacked) {
    return [times, ...series.map((each) => each.values)];
  }
  const sums = new Array<number>(times.length).fill(0);
  const stacked = series.map((each) =>
    each.values.map((value, at) => {
      const sum = (sums[at] ?? 0) + value;
      sums[at] = sum;
      return sum;
    }),
  );
  return [times, ...stacked.reverse()];
}

/** Shares of a whole as one bar, with its parts named below. */
export function ShareBar({ label, parts }: { label: string; parts: { name: string; value: number; color: string }[] }) {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  if (total === 0) {
    return <p className="muted small">No traffic in this time.</p>;
  }
  return (
    <div className="share">
      <div className="share-bar" role="img" aria-label={`${label}: ${parts.map((p) => `${p.name} ${p.value}`).join(", ")}`}>
        {parts.map((part) => (
          <span
            key={part.name}
            style={{ width: `${(part.value / total) * 100}%`, background: `var(${part.color})` }}
          />
        ))}
      </div>
      <div className="legend">
        {parts.map((part) => (
          <span key={part.name} className="legend-item">
            <Swatch color={part.color} /> {part.name} <b>{part.value.toLocaleString("en")}</b>
          </span>
        ))}
      </div>
    </div>
  );
}

const VERSION_COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5"];

/** A colour for a version that stays its own while others come and go. */
export function versionColor(number: number | null): string {
  return VERSION_COLORS[((number ?? 0) + 4) % VERSION_COLORS.length] ?? "--c1";
}

export const CLASS_COLORS: Record<string, string> = {
  "1xx": "--c5",
  "2xx": "--good-strong",
  "3xx": "--c2",
  "4xx": "--warn-strong",
  "5xx": "--bad-strong",
  refused: "--c4",
};
