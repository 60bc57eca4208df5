import type { Feed, FeedSnapshot, PipelineStatus } from '../src/feed';

/** A status as the server gives it. */
export function status(change: Partial<PipelineStatus> = {}): PipelineStatus {
  return {
    pipeline: 'news',
    revision: '100',
    timestamp: '2026-01-28T15:30:45.123456Z',
    overallStatus: 'HEALTHY',
    scrapingHealth: {
      status: 'HEALTHY',
      sourcesProcessed: 1,
      totalSources: 2,
      failedSources: 0,
      staleSources: 0,
      articlesCollected: 12,
      eventsExtracted: 9,
      sourcesOmitted: 0,
      sources: [
        {
          source: 'punch',
          status: 'HEALTHY',
          stale: false,
          successRate: 95,
          running: 1,
          runs: 20,
          lastRun: '2026-01-28T15:30:00Z',
        },
        { source: 'vanguard', status: 'PENDING', stale: false, successRate: null, running: 0, runs: 0, lastRun: null },
      ],
    },
    dataQuality: {
      status: 'HEALTHY',
      geocodingSuccessRate: 87.5,
      validationPassRate: null,
      geocodingAttempts: 48,
      geocodingSuccesses: 42,
      validationAttempts: 0,
      validationPasses: 0,
      checks: [{ name: 'geocoding', status: 'HEALTHY', attempts: 48, passes: 42, rate: 87.5 }],
      basis: 'SOURCE_SPECIFIC',
      lastUpdated: '2026-01-28T15:30:00Z',
    },
    steps: [
      {
        name: 'collection',
        state: 'OK',
        sources: 1,
        failed: 0,
        itemsIn: null,
        itemsOut: 12,
        startedAt: null,
        endedAt: null,
        durationSeconds: 90,
      },
    ],
    anomalies: [],
    anomaliesOmitted: 0,
    alertsOmitted: 0,
    alerts: [
      {
        id: '1',
        type: 'QUALITY',
        severity: 'HIGH',
        title: 'Geocoding',
        message: 'Below 60 %',
        timestamp: '2026-01-28T15:00:00Z',
        state: 'FIRING',
        source: null,
      },
    ],
    ...change,
  };
}

/** The same by the plain routes. */
export const PLAIN = {
  pipeline: 'news',
  revision: '100',
  timestamp: '2026-01-28T15:30:45.123456Z',
  overall_status: 'healthy',
  scraping_health: {
    status: 'healthy',
    sources_processed: 1,
    total_sources: 2,
    failed_sources: 0,
    stale_sources: 0,
    articles_collected: 12,
    events_extracted: 9,
    sources_omitted: 0,
    sources: [
      {
        source: 'punch',
        status: 'healthy',
        stale: false,
        success_rate: 95.0,
        running: 1,
        runs: 20,
        last_run: '2026-01-28T15:30:00Z',
      },
      { source: 'vanguard', status: 'pending', stale: false, success_rate: 0, running: 0, runs: 0, last_run: null },
    ],
  },
  data_quality: {
    status: 'healthy',
    geocoding_success_rate: 87.5,
    validation_pass_rate: 0,
    geocoding_attempts: 48,
    geocoding_successes: 42,
    validation_attempts: 0,
    validation_passes: 0,
    checks: [{ name: 'geocoding', status: 'healthy', attempts: 48, passes: 42, rate: 87.5 }],
    basis: 'source-specific',
    last_updated: '2026-01-28T15:30:00Z',
  },
  steps: [
    {
      name: 'collection',
      state: 'ok',
      sources: 1,
      failed: 0,
      items_in: null,
      items_out: 12,
      started_at: null,
      ended_at: null,
      duration_seconds: 90,
    },
  ],
  anomalies: [],
  anomalies_omitted: 0,
  alerts_omitted: 0,
  alerts: [
    {
      id: '1',
      type: 'quality',
      severity: 'high',
      title: 'Geocoding',
      message: 'Below 60 %',
      timestamp: '2026-01-28T15:00:00Z',
      state: 'firing',
      source: null,
    },
  ],
};

/** A feed that the test plays. */
export function playedFeed<T>() {
  const listeners = new Set<() => void>();
  let refreshed = 0;
  let snapshot: FeedSnapshot<T> = {
    value: null,
    receivedAt: null,
    connection: { state: 'reconnecting', label: 'Reconnecting…', error: null },
  };
  const change = (part: Partial<FeedSnapshot<T>>) => {
    snapshot = { ...snapshot, ...part };
    for (const listener of [...listeners]) listener();
  };
  const feed: Feed<T> = {
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => snapshot,
    async refresh() {
      refreshed += 1;
      return snapshot.value as T;
    },
    follow: () => () => {},
    close() {},
  };
  return {
    feed,
    change,
    put: (value: T) => change({ value, receivedAt: Date.now() }),
    listeners,
    refreshed: () => refreshed,
  };
}
