import type { HistoryQuery } from '../generated';
import type { Buckets } from './run-buckets';

export type TimeRange = '24 h' | '7 d' | '90 d';

const HOUR = 3_600;
const DAY = 24 * HOUR;

const TIME_RANGES: Record<TimeRange, { readonly length: number; readonly bucket: 'HOUR' | 'DAY' }> = {
  '24 h': { length: DAY, bucket: 'HOUR' },
  '7 d': { length: 7 * DAY, bucket: 'HOUR' },
  '90 d': { length: 90 * DAY, bucket: 'DAY' },
};

/** Whole hours or days in UTC, in seconds since 1970. */
export interface BucketRange {
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly bucket: 'HOUR' | 'DAY';
}

/** The buckets of a time range that ends with the current hour or day. */
export function bucketRange(timeRange: TimeRange, now: number): BucketRange {
  const { length, bucket } = TIME_RANGES[timeRange];
  const step = bucket === 'HOUR' ? HOUR : DAY;
  const to = (Math.floor(now / 1_000 / step) + 1) * step;
  return { from: to - length, to, step, bucket };
}

/** The variables of a history query. */
export function rangeVariables({ from, to, bucket }: BucketRange) {
  const iso = (seconds: number) => new Date(seconds * 1_000).toISOString();
  return { from: iso(from), to: iso(to), bucket };
}

type Point = { readonly start: string };

/** The start of each bucket, in seconds since 1970. */
export function bucketStarts({ from, to, step }: BucketRange): number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
}

/** The value of each bucket; null for buckets without a point. */
export function bucketValues<P extends Point>(
  points: readonly P[],
  value: (point: P) => number | null,
  range: BucketRange,
): (number | null)[] {
  const values = new Map(points.map((point) => [Date.parse(point.start) / 1_000, value(point)]));
  return bucketStarts(range).map((start) => values.get(start) ?? null);
}

/** A history in the form of a chart. Buckets without reports are gaps, not zeros. */
export function historyBuckets(data: Omit<HistoryQuery, 'anomalies'>, range: BucketRange): Buckets {
  const rates = ({ points }: HistoryQuery['geocoding']) => bucketValues(points, (it) => it.rate, range);
  const totals = ({ points }: HistoryQuery['articles']) => bucketValues(points, (it) => it.total, range);
  return {
    from: bucketStarts(range),
    rates: new Map([
      ['geocoding', rates(data.geocoding)],
      ['validation', rates(data.validation)],
    ]),
    counts: new Map([
      ['articles', totals(data.articles)],
      ['events', totals(data.events)],
    ]),
  };
}
