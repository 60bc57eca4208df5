import { expect, it } from 'vitest';
import { anomaly } from '../../test/anomalies';
import { foundIn, furtherChecks, marksNear, sentence, sureness } from './anomalies';
import { rangeOf } from './spans';

const NOW = Date.parse('2026-01-28T15:30:00Z');
const at = (text: string) => Date.parse(text) / 1_000;

it('an anomaly is at its hour, or at its day, on its own line', () => {
  const articles = anomaly({ series: 'articles' });
  const all = [articles, anomaly({ series: 'geocoding', timestamp: '2026-01-20T11:00:00Z' })];
  const day = foundIn(all, 'punch', rangeOf('24 h', NOW)).marks;
  expect(day.get('articles')).toEqual([{ anomaly: articles, at: at('2026-01-28T11:00:00Z') }]);
  expect(day.get('geocoding')).toBeUndefined();
  const quarter = foundIn(all, 'punch', rangeOf('90 d', NOW)).marks;
  expect(quarter.get('articles')?.[0]?.at).toBe(at('2026-01-28T00:00:00Z'));
  expect(quarter.get('geocoding')?.[0]?.at).toBe(at('2026-01-20T00:00:00Z'));
});

it("a pipeline's own are on its lines, those of its sources are counted", () => {
  const found = foundIn(
    [
      anomaly({ source: null, series: 'events' }),
      anomaly({ source: 'b' }),
      anomaly({ source: 'a' }),
      anomaly({ source: 'b' }),
      anomaly({ source: null, series: 'deduplication' }),
    ],
    null,
    rangeOf('7 d', NOW),
  );
  expect([...found.marks].map(([series, marks]) => [series, marks.length])).toEqual([
    ['events', 1],
    ['deduplication', 1],
  ]);
  expect(furtherChecks(['geocoding', 'language'], found)).toEqual(['language', 'deduplication']);
  expect(found.elsewhere).toEqual([
    ['b', 2],
    ['a', 1],
  ]);
});

it('under a pointer are the marks of the nearest place, if it is near', () => {
  const marks = [0, 60, 60, 66].map((at) => ({ anomaly: anomaly(), at }));
  const near = (left: number) => marksNear(marks, left, (it) => it).map((it) => it.at);
  expect(near(61)).toEqual([60, 60]);
  expect(near(65)).toEqual([66]);
  expect(near(30)).toEqual([]);
});

it('says how sure it is, once', () => {
  expect(sureness({ pValue: 0.0312, alpha: 0.000123 })).toBe('p = 0.031, alert below 0.00012');
  expect(sureness({ pValue: 0, alpha: 1e-8 })).toBe('p < 0.000001, alert below 0.00000001');
  for (const p of ['p = 0.003', 'p < 0.000001']) {
    expect(sentence({ description: `events of punch: 1 where 7.5 were expected (2 to 14) from 60 hours; ${p}` })).toBe(
      'events of punch: 1 where 7.5 were expected (2 to 14) from 60 hours',
    );
  }
});
