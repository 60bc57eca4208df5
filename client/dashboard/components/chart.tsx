import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { countUnit, formatAmount } from '../../src/react/format';
import type { Marker, Series } from '../model/anomaly-markers';
import { formatTime } from '../model/format-time';
import { markerPlugin, type PlacedMarker } from '../model/marker-plugin';
import { AnomalyList } from './anomaly-list';

interface ChartProps {
  title: string;
  /** The start of each bucket, in seconds since 1970. */
  from: readonly number[];
  lines: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
    readonly color: 1 | 2;
    readonly markers?: readonly Marker[];
  }[];
  /** `%` fixes the axis to 0 to 100. */
  unit?: Unit;
  /** Breaks the lines where a value is missing, instead of connecting across. */
  hasGaps?: boolean;
}

type Unit = '%' | 'bytes' | 'seconds' | undefined;

/** The unit of a check is per cent, that of a count is in its name. */
export function unitOf({ kind, name }: Series): Unit {
  return kind === 'check' ? '%' : (countUnit(name) ?? undefined);
}

const HEIGHT = 200;
/** Tick distances of an axis of whole numbers. */
const WHOLE_INCREMENTS = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((it) => it * 10 ** power)).flat();

/** A line chart over time, whose latest values are also its accessible name. */
export function Chart({ title, from, lines, unit, hasGaps = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light');
  const names = lines.map((it) => it.name).join();
  const markers = useMemo(
    () => lines.flatMap(({ markers = [] }, index): PlacedMarker[] => markers.map((it) => ({ ...it, line: index + 1 }))),
    [lines],
  );
  const [highlighted, setHighlighted] = useState<string | null>(null);
  // uPlot draws outside of React's rendering, so it reads the latest values from here.
  const drawn = useRef({ markers, highlighted });
  drawn.current = { markers, highlighted };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is created for its layout and colours; the next effect sets the data
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const [text, grid] = [style.getPropertyValue('--muted'), style.getPropertyValue('--border')];
    const font = `12px ${getComputedStyle(element).fontFamily}`;
    const axis = {
      font,
      stroke: text,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, width: 1 },
    };
    const format = (value: number | null | undefined) => (value == null ? '–' : formatValue(value, unit));
    /** The index under the pointer, or else the last index with a value. */
    const shownIndex = (plot: uPlot, index: number | null) =>
      index ?? Math.max(...plot.data.slice(1).map((values) => [...values].findLastIndex((it) => it != null)));
    const precision = (from.at(-1) ?? 0) - (from[0] ?? 0) < 3_600 ? 'second' : 'minute';
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        plugins: [
          markerPlugin({
            markers: () => drawn.current.markers,
            highlighted: () => drawn.current.highlighted,
            color: style.getPropertyValue('--error'),
            background: style.getPropertyValue('--surface'),
          }),
        ],
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: unit === '%' ? [0, 104] : (_, __, max) => [0, Math.max(max * 1.05, 1)] } },
        axes: [
          { ...axis, space: 70, values: (_, ticks) => ticks.map(tickFormatter(ticks)) },
          {
            ...axis,
            size: unit === 'bytes' || unit === 'seconds' ? 72 : 48,
            ...(unit === '%' ? {} : { incrs: WHOLE_INCREMENTS }),
            values: (_, ticks) => ticks.map((it) => formatTick(it, unit)),
          },
        ],
        series: [
          {
            label: 'Time',
            value: (plot, _, __, index) => {
              const from = plot.data[0][shownIndex(plot, index)];
              return from === undefined ? '–' : formatTime(from * 1_000, precision);
            },
          },
          ...lines.map(({ name, color }) => ({
            label: name,
            stroke: style.getPropertyValue(`--chart-${color}`),
            width: 2,
            spanGaps: !hasGaps,
            points: { size: 5 },
            value: (plot: uPlot, _: number | null, line: number, index: number | null) =>
              format(plot.data[line]?.[shownIndex(plot, index)]),
          })),
        ],
      },
      [[...from], ...lines.map((it) => [...it.values])],
      element,
    );
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [scheme, names, unit, hasGaps]);

  useEffect(() => {
    plot.current?.setData([[...from], ...lines.map((it) => [...it.values])]);
  }, [from, lines]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the marker plugin reads the new values when it draws
  useEffect(() => plot.current?.redraw(false), [markers, highlighted]);

  const latest = lines
    .map(
      ({ name, values }) =>
        `${name} ${describe(
          values.findLast((it) => it !== null),
          unit,
        )}`,
    )
    .join(', ');
  return (
    <figure className="chart">
      <figcaption>{title}</figcaption>
      <div ref={box} role="img" aria-label={`${title} over time. Latest: ${latest}`} />
      <AnomalyList markers={markers} label={`${title} anomalies`} onHighlight={setHighlighted} />
    </figure>
  );
}

/** Times for up to two days, dates beyond; with seconds if the ticks are less than a minute apart. */
function tickFormatter(ticks: readonly number[]): (tick: number) => string {
  const length = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0);
  const step = ticks.length > 1 ? length / (ticks.length - 1) : length;
  const format: Intl.DateTimeFormatOptions =
    length > 2 * 86_400
      ? { day: 'numeric', month: 'short' }
      : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(step < 60 && { second: '2-digit' }) };
  return (tick) => (step < 1 && tick % 1 !== 0 ? '' : new Date(tick * 1_000).toLocaleString('en', format));
}

function describe(value: number | null | undefined, unit: Unit): string {
  return value == null ? 'no data' : formatValue(value, unit);
}

function formatValue(value: number, unit: Unit): string {
  return unit === '%' ? `${value.toFixed(1)} %` : formatAmount(unit ?? '', value);
}

function formatTick(value: number, unit: Unit): string {
  if (unit === undefined) return value.toLocaleString('en', { notation: 'compact' });
  return unit === '%' ? `${value}%` : formatAmount(unit, value);
}
