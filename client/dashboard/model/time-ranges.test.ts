import { expect, it } from 'vitest';
import { bucketRange, historyBuckets } from './time-ranges';

const NOW = Date.parse('2026-01-28T15:30:00Z');
const at = (text: string) => Date.parse(text) / 1_000;

it('a range ends with the current hour or day', () => {
  expect(bucketRange('24 h', NOW)).toEqual({
    from: at('2026-01-27T16:00:00Z'),
    to: at('2026-01-28T16:00:00Z'),
    step: 3_600,
    bucket: 'HOUR',
  });
  expect(bucketRange('90 d', NOW)).toMatchObject({
    from: at('2025-10-31T00:00:00Z'),
    to: at('2026-01-29T00:00:00Z'),
    bucket: 'DAY',
  });
});

it('buckets without reports are gaps', () => {
  const none = { points: [] };
  const rates = { points: [{ start: '2026-01-28T14:00:00Z', rate: 87.5 }] };
  const volumes = { points: [{ start: '2026-01-28T15:00:00Z', total: 0 }] };
  const history = historyBuckets(
    { geocoding: rates, validation: none, articles: volumes, events: none },
    bucketRange('24 h', NOW),
  );
  expect(history.from).toHaveLength(24);
  expect(history.rates.get('geocoding')?.slice(-3)).toEqual([null, 87.5, null]);
  expect(history.counts.get('articles')?.slice(-3)).toEqual([null, null, 0]);
  expect(history.counts.get('events')?.every((it) => it === null)).toBe(true);
});
