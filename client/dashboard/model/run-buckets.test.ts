import { expect, it } from 'vitest';
import { type RunCounts, runBuckets } from './run-buckets';

const NO_COUNTS: RunCounts = {
  finishedAt: null,
  counts: [],
  geocodingAttempts: null,
  geocodingSuccesses: null,
  validationAttempts: null,
  validationPasses: null,
};
const HOUR = Date.parse('2026-01-28T15:00:00Z');
const at = (minutes: number, counts: Partial<RunCounts>): RunCounts => ({
  ...NO_COUNTS,
  finishedAt: new Date(HOUR + minutes * 60_000).toISOString(),
  ...counts,
});

it('there are no buckets without finished runs', () => {
  expect(runBuckets([]).from).toEqual([]);
  expect(runBuckets([NO_COUNTS]).from).toEqual([]);
});

it('rates are computed from sums and missing counts are null', () => {
  const buckets = runBuckets([
    at(0, { geocodingAttempts: 10, geocodingSuccesses: 10, counts: [{ name: 'rows', value: 3 }] }),
    at(0, { geocodingAttempts: 90, geocodingSuccesses: 0, counts: [{ name: 'rows', value: 4 }] }),
    at(4, { validationAttempts: 0, validationPasses: 0 }),
  ]);
  expect(buckets.from[0]).toBe(HOUR / 1_000);
  expect([buckets.rates.get('geocoding')?.[0], buckets.counts.get('rows')?.[0]]).toEqual([10, 7]);
  expect([buckets.rates.get('validation')?.at(-1), buckets.counts.get('rows')?.at(-1)]).toEqual([null, null]);
  expect([...buckets.counts.keys()]).toEqual(['rows']);
});

it('buckets have equal, round lengths and number at most 32', () => {
  for (const [minutes, length] of [
    [1, 2],
    [60, 300],
    [24 * 60, 3_600],
    [90 * 24 * 60, 3 * 86_400],
  ] as const) {
    const { from } = runBuckets([at(0, {}), at(minutes, {})]);
    expect((from[1] ?? 0) - (from[0] ?? 0)).toBe(length);
    expect(from.length).toBeLessThanOrEqual(32);
    for (let index = 1; index < from.length; index += 1)
      expect((from[index] ?? 0) - (from[index - 1] ?? 0)).toBe(length);
  }
});
