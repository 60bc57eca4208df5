import { expect, it } from 'vitest';
import { anomaly } from '../../test/anomaly-fixture';
import { anomalyMarkers, customSeries, formatPValue, markersNear, withoutPValue } from './anomaly-markers';
import { bucketRange } from './time-ranges';

const NOW = Date.parse('2026-01-28T15:30:00Z');
const at = (text: string) => Date.parse(text) / 1_000;

it('an anomaly is placed at its hour or day, on its own series', () => {
  const articles = anomaly({ series: 'articles' });
  const all = [articles, anomaly({ series: 'geocoding', timestamp: '2026-01-20T11:00:00Z' })];
  const day = anomalyMarkers(all, 'punch', bucketRange('24 h', NOW)).bySeries;
  expect(day.get('articles')).toEqual([{ anomaly: articles, at: at('2026-01-28T11:00:00Z') }]);
  expect(day.get('geocoding')).toBeUndefined();
  const quarter = anomalyMarkers(all, 'punch', bucketRange('90 d', NOW)).bySeries;
  expect(quarter.get('articles')?.[0]?.at).toBe(at('2026-01-28T00:00:00Z'));
  expect(quarter.get('geocoding')?.[0]?.at).toBe(at('2026-01-20T00:00:00Z'));
});

it("a pipeline's anomalies are placed on its charts and those of its sources are counted", () => {
  const found = anomalyMarkers(
    [
      anomaly({ source: null, series: 'events' }),
      anomaly({ source: 'b' }),
      anomaly({ source: 'a' }),
      anomaly({ source: 'b' }),
      anomaly({ source: null, series: 'deduplication' }),
      anomaly({ source: null, series: 'counts.rows' }),
    ],
    null,
    bucketRange('7 d', NOW),
  );
  expect([...found.bySeries].map(([series, markers]) => [series, markers.length])).toEqual([
    ['events', 1],
    ['deduplication', 1],
    ['counts.rows', 1],
  ]);
  expect(customSeries(['geocoding', 'language'], ['articles', 'bytes'], found)).toEqual([
    { kind: 'check', name: 'language' },
    { kind: 'count', name: 'bytes' },
    { kind: 'count', name: 'rows' },
    { kind: 'check', name: 'deduplication' },
  ]);
  expect(found.otherSources).toEqual([
    ['b', 2],
    ['a', 1],
  ]);
});

it('only the nearest markers within reach of the pointer are found', () => {
  const markers = [0, 60, 60, 66].map((at) => ({ anomaly: anomaly(), at }));
  const near = (left: number) => markersNear(markers, left, (it) => it).map((it) => it.at);
  expect(near(61)).toEqual([60, 60]);
  expect(near(65)).toEqual([66]);
  expect(near(30)).toEqual([]);
});

it('the p-value is shown once, with its threshold', () => {
  expect(formatPValue({ pValue: 0.0312, alpha: 0.000123 })).toBe('p = 0.031, alert threshold 0.00012');
  expect(formatPValue({ pValue: 0, alpha: 1e-8 })).toBe('p < 0.000001, alert threshold 0.00000001');
  for (const p of ['p = 0.003', 'p < 0.000001']) {
    expect(
      withoutPValue({ description: `events of punch: 1 where 7.5 were expected (2 to 14) from 60 hours; ${p}` }),
    ).toBe('events of punch: 1 where 7.5 were expected (2 to 14) from 60 hours');
  }
});
