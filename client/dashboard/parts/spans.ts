import type { HistoryQuery } from '../generated';
import type { Buckets } from './buckets';

/** How far back a history goes. */
export type Span = '24 h' | '7 d' | '90 d';

const HOUR = 3_600;
const DAY = 24 * HOUR;

const SPANS: Record<Span, { readonly length: number; readonly bucket: 'HOUR' | 'DAY' }> = {
  '24 h': { length: DAY, bucket: 'HOUR' },
  '7 d': { length: 7 * DAY, bucket: 'HOUR' },
  '90 d': { length: 90 * DAY, bucket: 'DAY' },
};

/** Seconds since 1970: whole hours or days, up to the end of that in which the instant is. */
export interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly bucket: 'HOUR' | 'DAY';
}

export function rangeOf(span: Span, now: number): Range {
  const { length, bucket } = SPANS[span];
  const step = bucket === 'HOUR' ? HOUR : DAY;
  const to = (Math.floor(now / 1_000 / step) + 1) * step;
  return { from: to - length, to, step, bucket };
}

/** The range as the server is asked for it. */
export function asked({ from, to, bucket }: Range) {
  const iso = (seconds: number) => new Date(seconds * 1_000).toISOString();
  return { from: iso(from), to: iso(to), bucket };
}

type Point = { readonly start: string };

/** The hours or days of a range, in seconds since 1970. */
export function startsOf({ from, to, step }: Range): number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
}

/** A value for each hour or day of the range; null for those of which nothing is known. */
export function columnOf<P extends Point>(
  points: readonly P[],
  value: (point: P) => number | null,
  range: Range,
): (number | null)[] {
  const known = new Map(points.map((point) => [Date.parse(point.start) / 1_000, value(point)]));
  return startsOf(range).map((start) => known.get(start) ?? null);
}

/** As a chart takes them: an hour or day of which nothing was reported is a gap and no zero. */
export function historyOf(data: Omit<HistoryQuery, 'anomalies'>, range: Range): Buckets {
  return {
    from: startsOf(range),
    geocoding: columnOf(data.geocoding.points, (it) => it.rate, range),
    validation: columnOf(data.validation.points, (it) => it.rate, range),
    articles: columnOf(data.articles.points, (it) => it.total, range),
    events: columnOf(data.events.points, (it) => it.total, range),
  };
}
