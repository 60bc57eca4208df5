import type { Run } from './server';

const HOUR = 3_600_000;

/**
 * Four weeks of a source that runs every hour and is much the same each time, but for what `changes` says of the run
 * that was so many hours ago: enough for the statistics to know what is usual.
 */
export function weeks(source: string, changes: Record<number, Run> = {}): Run[] {
  const last = Math.floor((Date.now() - 60_000) / HOUR) * HOUR + 60_000;
  return Array.from({ length: 28 * 24 }, (_, ago) => ({
    source,
    timestamp: new Date(last - ago * HOUR).toISOString(),
    articles_collected: 40 + ((ago * 7) % 11),
    events_extracted: 20 + ((ago * 5) % 7),
    geocoding_attempts: 40,
    geocoding_successes: 37 + (ago % 3),
    validation_attempts: 40,
    validation_passes: 38 + (ago % 2),
    checks: [{ name: 'deduplication', attempts: 40, passes: 38 + (ago % 2) }],
    ...changes[ago],
  }));
}
