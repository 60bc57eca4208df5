import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import type { Mark } from './anomalies';
import { AnomalyList } from './anomaly-list';
import { marksPlugin, type Placed } from './marks';
import { moment } from './moment';

export interface ChartProps {
  title: string;
  /** Seconds since 1970. */
  from: readonly number[];
  lines: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
    readonly color: 1 | 2;
    /** What was unusual about it. */
    readonly marks?: readonly Mark[];
  }[];
  /** `%` fixes the axis from 0 to 100. */
  unit?: '%';
  /** Nothing between two points means something. */
  hasGaps?: boolean;
}

const HEIGHT = 200;
/** Steps of an axis that counts. */
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((it) => it * 10 ** power)).flat();

/** Lines over time, drawn on a canvas, with what they say last in words. */
export function Chart({ title, from, lines, unit, hasGaps = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light');
  const names = lines.map((it) => it.name).join();
  const marks = useMemo(
    () => lines.flatMap(({ marks = [] }, index): Placed[] => marks.map((it) => ({ ...it, line: index + 1 }))),
    [lines],
  );
  const [chosen, setChosen] = useState<string | null>(null);
  // For what is drawn without rendering.
  const drawn = useRef({ marks, chosen });
  drawn.current = { marks, chosen };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is made for its form and colours; data follows below
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const [text, grid] = [style.getPropertyValue('--dim'), style.getPropertyValue('--line')];
    const font = `12px ${getComputedStyle(element).fontFamily}`;
    const axis = {
      font,
      stroke: text,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, width: 1 },
    };
    const show = (value: number | null | undefined) =>
      value == null ? '–' : unit ? `${value.toFixed(1)} %` : value.toLocaleString('en');
    /** Where the pointer is, else the last place at which there is anything. */
    const placeOf = (plot: uPlot, index: number | null) =>
      index ?? Math.max(...plot.data.slice(1).map((values) => [...values].findLastIndex((it) => it != null)));
    const precision = (from.at(-1) ?? 0) - (from[0] ?? 0) < 3_600 ? 'second' : 'minute';
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        plugins: [
          marksPlugin({
            marks: () => drawn.current.marks,
            chosen: () => drawn.current.chosen,
            color: style.getPropertyValue('--error'),
            ground: style.getPropertyValue('--panel'),
          }),
        ],
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: unit ? [0, 104] : (_, __, max) => [0, Math.max(max * 1.05, 1)] } },
        axes: [
          { ...axis, space: 70, values: (_, marks) => marks.map(at(marks)) },
          {
            ...axis,
            size: 48,
            ...(unit ? {} : { incrs: WHOLE }),
            values: (_, marks) =>
              marks.map((it) => (unit ? `${it}%` : it.toLocaleString('en', { notation: 'compact' }))),
          },
        ],
        series: [
          {
            label: 'From',
            value: (plot, _, __, index) => {
              const from = plot.data[0][placeOf(plot, index)];
              return from === undefined ? '–' : moment(from * 1_000, precision);
            },
          },
          ...lines.map(({ name, color }) => ({
            label: name,
            stroke: style.getPropertyValue(`--chart-${color}`),
            width: 2,
            spanGaps: !hasGaps,
            points: { size: 5 },
            value: (plot: uPlot, _: number | null, line: number, index: number | null) =>
              show(plot.data[line]?.[placeOf(plot, index)]),
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

  // biome-ignore lint/correctness/useExhaustiveDependencies: it is drawn again for what the marks' plugin then reads
  useEffect(() => plot.current?.redraw(false), [marks, chosen]);

  const said = lines
    .map(
      ({ name, values }) =>
        `${name}: ${describe(
          values.findLast((it) => it !== null),
          unit,
        )}`,
    )
    .join(', ');
  return (
    <figure className="chart">
      <figcaption>{title}</figcaption>
      <div ref={box} role="img" aria-label={`${title} over time. Last, ${said}`} />
      <AnomalyList marks={marks} label={`Anomalies of ${title.toLowerCase()}`} onPoint={setChosen} />
    </figure>
  );
}

/** Hours for a day or so, dates beyond; in seconds where it is about seconds. */
function at(marks: readonly number[]): (mark: number) => string {
  const length = (marks.at(-1) ?? 0) - (marks[0] ?? 0);
  const step = marks.length > 1 ? length / (marks.length - 1) : length;
  const format: Intl.DateTimeFormatOptions =
    length > 2 * 86_400
      ? { day: 'numeric', month: 'short' }
      : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(step < 60 && { second: '2-digit' }) };
  return (mark) => (step < 1 && mark % 1 !== 0 ? '' : new Date(mark * 1_000).toLocaleString('en', format));
}

function describe(value: number | null | undefined, unit: string | undefined): string {
  return value == null ? 'nothing' : unit ? `${value.toFixed(1)} %` : value.toLocaleString('en');
}
