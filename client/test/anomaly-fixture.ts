import type { Anomaly } from '../dashboard/model/anomaly-markers';

let number = 0;

/** An anomaly as the server sends it. */
export function anomaly(change: Partial<Anomaly> = {}): Anomaly {
  number += 1;
  return {
    id: `anomaly-${number}`,
    severity: 'HIGH',
    description: 'articles of punch: 0 where 40 were expected (21 to 62) from 120 hours; p < 0.000001',
    timestamp: '2026-01-28T11:00:00Z',
    source: 'punch',
    series: 'articles',
    pValue: 1e-9,
    alpha: 0.0002,
    ...change,
  };
}
