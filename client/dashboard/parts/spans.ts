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

/** As a chart takes them: an hour or day of which nothing was reported is a gap and no zero. */
export function historyOf(data: Omit<HistoryQuery, 'anomalies'>, { from, to, step }: Range): Buckets {
  const starts = Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
  const column = <P extends { start: string }>(points: readonly P[], value: (point: P) => number | null) => {
    const known = new Map(points.map((point) => [Date.parse(point.start) / 1_000, value(point)]));
    return starts.map((start) => known.get(start) ?? null);
  };
  return {
    from: starts,
    geocoding: column(data.geocoding.points, (it) => it.rate),
    validation: column(data.validation.points, (it) => it.rate),
    articles: column(data.articles.points, (it) => it.total),
    events: column(data.events.points, (it) => it.total),
  };
}
