import { expect, it } from 'vitest';
import { bucketsOf, type Counted } from './buckets';

const NONE: Counted = {
  finishedAt: null,
  articlesCollected: null,
  eventsExtracted: null,
  geocodingAttempts: null,
  geocodingSuccesses: null,
  validationAttempts: null,
  validationPasses: null,
};
const HOUR = Date.parse('2026-01-28T15:00:00Z');
const at = (minutes: number, counts: Partial<Counted>): Counted => ({
  ...NONE,
  finishedAt: new Date(HOUR + minutes * 60_000).toISOString(),
  ...counts,
});

it('no runs make no buckets', () => {
  expect(bucketsOf([]).from).toEqual([]);
  expect(bucketsOf([NONE]).from).toEqual([]);
});

it('rates are of sums, and what was not counted is not zero', () => {
  const buckets = bucketsOf([
    at(0, { geocodingAttempts: 10, geocodingSuccesses: 10, articlesCollected: 3 }),
    at(0, { geocodingAttempts: 90, geocodingSuccesses: 0, articlesCollected: 4 }),
    at(4, { validationAttempts: 0, validationPasses: 0 }),
  ]);
  expect(buckets.from[0]).toBe(HOUR / 1_000);
  expect([buckets.geocoding[0], buckets.articles[0], buckets.events[0]]).toEqual([10, 7, null]);
  expect([buckets.validation.at(-1), buckets.articles.at(-1)]).toEqual([null, null]);
});

it('the stretches are equal, of a length that people count in, and few', () => {
  for (const [minutes, length] of [
    [1, 2],
    [60, 300],
    [24 * 60, 3_600],
    [90 * 24 * 60, 3 * 86_400],
  ] as const) {
    const { from } = bucketsOf([at(0, {}), at(minutes, {})]);
    expect((from[1] ?? 0) - (from[0] ?? 0)).toBe(length);
    expect(from.length).toBeLessThanOrEqual(32);
    for (let index = 1; index < from.length; index += 1)
      expect((from[index] ?? 0) - (from[index - 1] ?? 0)).toBe(length);
  }
});
