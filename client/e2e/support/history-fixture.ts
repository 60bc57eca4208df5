import type { Run } from './server';

const HOUR = 3_600_000;

/**
 * Four weeks of similar hourly runs, which is enough history for the anomaly statistics. `changes` overrides single runs, by their
 * age in hours.
 */
export function weeksOfRuns(source: string, changes: Record<number, Run> = {}): Run[] {
  const last = Math.floor((Date.now() - 60_000) / HOUR) * HOUR + 60_000;
  return Array.from({ length: 28 * 24 }, (_, hoursAgo) => ({
    source,
    timestamp: new Date(last - hoursAgo * HOUR).toISOString(),
    articles_collected: 40 + ((hoursAgo * 7) % 11),
    events_extracted: 20 + ((hoursAgo * 5) % 7),
    geocoding_attempts: 40,
    geocoding_successes: 37 + (hoursAgo % 3),
    validation_attempts: 40,
    validation_passes: 38 + (hoursAgo % 2),
    checks: [{ name: 'deduplication', attempts: 40, passes: 38 + (hoursAgo % 2) }],
    ...changes[hoursAgo],
  }));
}
