import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';

export interface ChartProps {
  title: string;
  /** Seconds since 1970. */
  from: readonly number[];
  lines: readonly { readonly name: string; readonly values: readonly (number | null)[]; readonly color: 1 | 2 }[];
  /** `%` fixes the axis from 0 to 100. */
  unit?: '%';
}

const HEIGHT = 200;

/** Lines over time, drawn on a canvas, with what they say last in words. */
export function Chart({ title, from, lines, unit }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light');
  const names = lines.map((it) => it.name).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is made for its form and colours; data follows below
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const [text, grid] = [style.getPropertyValue('--dim'), style.getPropertyValue('--line')];
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const show = (value: number | null) =>
      value === null ? '–' : unit ? `${value.toFixed(1)} %` : value.toLocaleString('en');
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: unit ? [0, 100] : (_, __, max) => [0, Math.max(max * 1.05, 1)] } },
        axes: [
          axis,
          {
            ...axis,
            size: 48,
            values: (_, marks) =>
              marks.map((it) => (unit ? `${it}%` : it.toLocaleString('en', { notation: 'compact' }))),
          },
        ],
        series: [
          { value: (_, at) => (at === null ? '–' : new Date(at * 1_000).toLocaleString()) },
          ...lines.map(({ name, color }) => ({
            label: name,
            stroke: style.getPropertyValue(`--chart-${color}`),
            width: 2,
            spanGaps: false,
            points: { size: 5 },
            value: (_: uPlot, value: number | null) => show(value),
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
  }, [scheme, names, unit]);

  useEffect(() => {
    plot.current?.setData([[...from], ...lines.map((it) => [...it.values])]);
  }, [from, lines]);

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
    </figure>
  );
}

function describe(value: number | null | undefined, unit: string | undefined): string {
  return value == null ? 'nothing' : unit ? `${value.toFixed(1)} %` : value.toLocaleString('en');
}
