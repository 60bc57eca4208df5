// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import type uPlot from 'uplot';
import { afterEach, expect, it, vi } from 'vitest';
import { anomaly } from '../../test/anomaly-fixture';
import { type AnomalyMarkers, anomalyMarkers } from '../model/anomaly-markers';
import { bucketRange, historyBuckets } from '../model/time-ranges';
import { OtherSources } from './other-sources';
import { TrendCharts } from './trend-charts';

/** Without a canvas uPlot cannot draw, so this fake records what the plugin draws. */
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
      const noop = () => {};
      this.ctx = {
        canvas: { width: 100 },
        ...Object.fromEntries(
          ['save', 'restore', 'beginPath', 'moveTo', 'lineTo', 'stroke', 'fill'].map((it) => [it, noop]),
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
    /** One pixel per hour from the left and per unit from the top. */
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

const RANGE = bucketRange('24 h', Date.parse('2026-01-28T15:30:00Z'));
const NO_POINTS = { points: [] };
const BUCKETS = historyBuckets(
  {
    geocoding: { points: [{ start: '2026-01-28T11:00:00Z', rate: 40 }] },
    validation: NO_POINTS,
    articles: NO_POINTS,
    events: NO_POINTS,
  },
  RANGE,
);

const renderCharts = (markers: AnomalyMarkers) =>
  render(
    <MantineProvider>
      <TrendCharts buckets={BUCKETS} markers={markers} hasGaps />
    </MantineProvider>,
  );

const SEVERE = anomaly({ series: 'geocoding', description: 'geocoding of punch: 40 %; p = 0.00001', pValue: 1e-5 });
const MINOR = anomaly({
  series: 'articles',
  severity: 'LOW',
  description: 'articles of punch: 0; p = 0.01',
  pValue: 0.01,
  timestamp: '2026-01-28T13:00:00Z',
});

it('an anomaly is marked on its line or, without a value, on the axis; minor ones are lighter', () => {
  renderCharts(anomalyMarkers([SEVERE, MINOR], 'punch', RANGE));
  expect(plots.map((it) => it.rings)).toEqual([[{ x: 19, y: 40, alpha: 1 }], [{ x: 21, y: 100, alpha: 0.5 }]]);
});

it('a tooltip explains the anomaly under the pointer', () => {
  renderCharts(anomalyMarkers([SEVERE], 'punch', RANGE));
  const tooltip = plots[0]?.over.querySelector<HTMLElement>('.tooltip');
  expect(tooltip?.hidden).toBe(true);
  plots[0]?.point(20);
  expect(tooltip?.hidden).toBe(false);
  expect(tooltip?.textContent).toBe('geocoding of punch: 40 % (p = 0.00001, alert threshold 0.0002)');
  plots[0]?.point(-10);
  expect(tooltip?.hidden).toBe(true);
});

it('a tooltip explains severe anomalies first and counts the rest', () => {
  const minor = { ...MINOR, timestamp: SEVERE.timestamp, series: 'geocoding' };
  renderCharts(anomalyMarkers([minor, { ...minor, id: 'another' }, SEVERE], 'punch', RANGE));
  plots[0]?.point(19);
  const lines = [...(plots[0]?.over.querySelector('.tooltip')?.children ?? [])].map((it) => it.textContent);
  expect(lines).toEqual([
    'geocoding of punch: 40 % (p = 0.00001, alert threshold 0.0002)',
    'articles of punch: 0 (p = 0.01, alert threshold 0.0002)',
    '1 more, listed below',
  ]);
});

it('anomalies are listed, and a focused one is highlighted on the chart', () => {
  renderCharts(anomalyMarkers([SEVERE, MINOR], 'punch', RANGE));
  const list = screen.getByRole('list', { name: 'Volumes anomalies' });
  const [item] = within(list).getAllByRole('listitem');
  expect(item?.textContent).toMatch(/Slightly unusual: articles of punch: 0 \(p = 0\.01, alert threshold 0\.0002\)$/);
  const button = within(list).getByRole('button', { name: /^Show on chart: / });
  fireEvent.focus(button);
  expect(plots[1]?.rings).toMatchObject([{ alpha: 1 }]);
  fireEvent.blur(button);
  expect(plots[1]?.rings).toMatchObject([{ alpha: 0.5 }]);
  expect(within(screen.getByRole('list', { name: 'Rates anomalies' })).getByText('Unusual')).toBeTruthy();
});

it('a long list is collapsed to the newest anomalies', () => {
  const hours = [1, 2, 3, 4, 5].map((hour) => anomaly({ timestamp: `2026-01-28T0${hour}:00:00Z` }));
  renderCharts(anomalyMarkers(hours, 'punch', RANGE));
  const list = screen.getByRole('list', { name: 'Volumes anomalies' });
  expect(within(list).getAllByRole('listitem')).toHaveLength(3);
  fireEvent.click(screen.getByRole('button', { name: 'Show all 5 anomalies' }));
  expect(within(list).getAllByRole('listitem')).toHaveLength(5);
  expect(screen.getByRole('button', { name: 'Show fewer', expanded: true })).toBeTruthy();
});

it('other sources are linked, and a truncated list is announced', () => {
  const { otherSources } = anomalyMarkers([anomaly({ source: 'a b' }), anomaly({ source: 'c' })], null, RANGE);
  render(<OtherSources pipeline="news" sources={otherSources} isTruncated />);
  expect(screen.getByRole('link', { name: 'a b' }).getAttribute('href')).toBe('#/pipelines/news/sources/a%20b');
  expect(screen.getByText(/newest 500/)).toBeTruthy();
});

it('no list is rendered without anomalies', () => {
  renderCharts(anomalyMarkers([], 'punch', RANGE));
  expect(screen.queryByRole('list')).toBeNull();
});
