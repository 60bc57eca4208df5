// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import type uPlot from 'uplot';
import { afterEach, expect, it, vi } from 'vitest';
import { anomaly } from '../../test/anomalies';
import { type Found, foundIn } from './anomalies';
import { Charts } from './charts';
import { Elsewhere } from './history';
import { historyOf, rangeOf } from './spans';

/** uPlot draws on a canvas, which there is none of here: what the plugin draws is written down, for each chart. */
const plots = vi.hoisted(() => [] as { rings: object[]; draw(): void; point(left: number): void; over: HTMLElement }[]);
vi.mock('uplot', () => ({
  default: class {
    data: unknown[][];
    over = document.createElement('div');
    cursor = { left: -1 };
    width = 100;
    bbox = { top: 0, height: 100 };
    rings: object[] = [];
    ctx: Record<string, unknown>;
    constructor(
      readonly options: { plugins: { hooks: Record<string, (plot: unknown) => void> }[] },
      data: unknown[][],
      element: HTMLElement,
    ) {
      this.data = data;
      const nothing = () => {};
      this.ctx = {
        canvas: { width: 100 },
        ...Object.fromEntries(
          ['save', 'restore', 'beginPath', 'moveTo', 'lineTo', 'stroke', 'fill'].map((it) => [it, nothing]),
        ),
        arc: (x: number, y: number) => this.rings.push({ x, y, alpha: this.ctx.globalAlpha }),
      };
      element.append(this.over);
      plots.push(this);
      this.#hook('init');
      this.draw();
    }
    #hook(name: string) {
      for (const { hooks } of this.options.plugins) hooks[name]?.(this);
    }
    draw() {
      this.rings.length = 0;
      this.#hook('draw');
    }
    point(left: number) {
      this.cursor.left = left;
      this.#hook('setCursor');
    }
    /** Hours from the left, values from the top. */
    valToPos(value: number, scale: 'x' | 'y') {
      return scale === 'x' ? (value - (this.data[0]?.[0] as number)) / 3_600 : value;
    }
    setData(data: uPlot.AlignedData) {
      this.data = data as unknown as unknown[][];
      this.draw();
    }
    redraw() {
      this.draw();
    }
    setSize() {}
    destroy() {}
  },
}));

afterEach(() => {
  cleanup();
  plots.length = 0;
});

const RANGE = rangeOf('24 h', Date.parse('2026-01-28T15:30:00Z'));
const NONE = { points: [] };
const BUCKETS = historyOf(
  {
    geocoding: { points: [{ start: '2026-01-28T11:00:00Z', rate: 40 }] },
    validation: NONE,
    articles: NONE,
    events: NONE,
  },
  RANGE,
);

const show = (found: Found) =>
  render(
    <MantineProvider>
      <Charts buckets={BUCKETS} found={found} hasGaps />
    </MantineProvider>,
  );

const GRAVE = anomaly({ series: 'geocoding', description: 'geocoding of punch: 40 %; p = 0.00001', pValue: 1e-5 });
const SLIGHT = anomaly({
  series: 'articles',
  severity: 'LOW',
  description: 'articles of punch: 0; p = 0.01',
  pValue: 0.01,
  timestamp: '2026-01-28T13:00:00Z',
});

it('marks an anomaly on its line, on the ground where there is none, the slight ones lighter', () => {
  show(foundIn([GRAVE, SLIGHT], 'punch', RANGE));
  expect(plots.map((it) => it.rings)).toEqual([[{ x: 19, y: 40, alpha: 1 }], [{ x: 21, y: 100, alpha: 0.5 }]]);
});

it('explains it under the pointer', () => {
  show(foundIn([GRAVE], 'punch', RANGE));
  const tip = plots[0]?.over.querySelector<HTMLElement>('.tip');
  expect(tip?.hidden).toBe(true);
  plots[0]?.point(20);
  expect(tip?.hidden).toBe(false);
  expect(tip?.textContent).toBe('geocoding of punch: 40 % (p = 0.00001, alert below 0.0002)');
  plots[0]?.point(-10);
  expect(tip?.hidden).toBe(true);
});

it('of many at one place explains the grave ones, and says that there are more', () => {
  const slight = { ...SLIGHT, timestamp: GRAVE.timestamp, series: 'geocoding' };
  show(foundIn([slight, { ...slight, id: 'another' }, GRAVE], 'punch', RANGE));
  plots[0]?.point(19);
  const lines = [...(plots[0]?.over.querySelector('.tip')?.children ?? [])].map((it) => it.textContent);
  expect(lines).toEqual([
    'geocoding of punch: 40 % (p = 0.00001, alert below 0.0002)',
    'articles of punch: 0 (p = 0.01, alert below 0.0002)',
    'and 1 more, listed below',
  ]);
});

it('lists it in words, and shows on the chart what is focused', () => {
  show(foundIn([GRAVE, SLIGHT], 'punch', RANGE));
  const list = screen.getByRole('list', { name: 'Anomalies of volumes' });
  const [item] = within(list).getAllByRole('listitem');
  expect(item?.textContent).toMatch(/Slightly unusual: articles of punch: 0 \(p = 0\.01, alert below 0\.0002\)$/);
  const button = within(list).getByRole('button', { name: /^Show on the chart: / });
  fireEvent.focus(button);
  expect(plots[1]?.rings).toMatchObject([{ alpha: 1 }]);
  fireEvent.blur(button);
  expect(plots[1]?.rings).toMatchObject([{ alpha: 0.5 }]);
  expect(within(screen.getByRole('list', { name: 'Anomalies of rates' })).getByText('Unusual')).toBeTruthy();
});

it('shows a few of many, the newest first, and all when asked', () => {
  const hours = [1, 2, 3, 4, 5].map((hour) => anomaly({ timestamp: `2026-01-28T0${hour}:00:00Z` }));
  show(foundIn(hours, 'punch', RANGE));
  const list = screen.getByRole('list', { name: 'Anomalies of volumes' });
  expect(within(list).getAllByRole('listitem')).toHaveLength(3);
  fireEvent.click(screen.getByRole('button', { name: 'Show all 5 anomalies' }));
  expect(within(list).getAllByRole('listitem')).toHaveLength(5);
  expect(screen.getByRole('button', { name: 'Show fewer', expanded: true })).toBeTruthy();
});

it('leads to the sources that have their own, and says when not all are there', () => {
  const found = foundIn([anomaly({ source: 'a b' }), anomaly({ source: 'c' })], null, RANGE);
  render(<Elsewhere pipeline="news" found={found} isPart />);
  expect(screen.getByRole('link', { name: 'a b' }).getAttribute('href')).toBe('#/pipelines/news/sources/a%20b');
  expect(screen.getByText(/newest 500/)).toBeTruthy();
});

it('without any there is no list', () => {
  show(foundIn([], 'punch', RANGE));
  expect(screen.queryByRole('list')).toBeNull();
});
