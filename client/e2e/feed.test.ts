import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import {
  createOverviewFeed,
  createStatusFeed,
  type Feed,
  type PipelineStatus,
  type StatusFeedOptions,
} from '../src/feed';
import { PipewatchServer } from './server';

let server: PipewatchServer;
const feeds: Feed<unknown>[] = [];

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '500ms', PIPEWATCH_EVALUATION_INTERVAL: '200ms' });
  await server.report(
    'news',
    { articles_collected: 3, geocoding_attempts: 8, geocoding_successes: 7 },
    { source: 'b', outcome: 'failed' },
  );
});
afterAll(async () => {
  for (const feed of feeds) feed.close();
  await server?.stop();
});

function start(options: StatusFeedOptions): Feed<PipelineStatus> {
  const feed = createStatusFeed({
    url: server.url,
    pipeline: 'news',
    interval: 500,
    webSocketImpl: WebSocket,
    ...options,
  });
  feeds.push(feed);
  feed.subscribe(() => {});
  return feed;
}
const until = (check: () => void) => vi.waitFor(check, { timeout: 5_000, interval: 10 });

/** Without what changes with the instant. */
const still = (status: PipelineStatus | null) => ({ ...status, timestamp: '' });

it('every way and both formats say the same, and a change reaches all of them', async () => {
  const all = (['graphql', 'plain'] as const).flatMap((format) =>
    ([['websocket'], ['sse'], []] as const).map((transports) => ({ feed: start({ format, transports }), transports })),
  );
  const [reference] = all;
  for (const { feed, transports } of all) {
    await until(() => expect(feed.getSnapshot().connection.state).toBe(transports[0] ?? 'polling'));
  }
  await server.report('news', { source: 'c', validation_attempts: 4, validation_passes: 4 });
  for (const { feed } of all) {
    await until(() => expect(feed.getSnapshot().value?.scrapingHealth.totalSources).toBe(3));
    // The plain routes may say more.
    expect(still(feed.getSnapshot().value)).toMatchObject(still(reference?.feed.getSnapshot().value ?? null));
    expect(feed.getSnapshot().connection.error).toBeNull();
  }
});

it.each(['graphql', 'plain'] as const)('a pipeline that comes to be is found by itself (%s)', async (format) => {
  const pipeline = `late-${format}`;
  const feed = start({ pipeline, format });
  await until(() => expect(feed.getSnapshot().connection.error?.kind).toBe('missing'));
  await expect(feed.refresh()).rejects.toMatchObject({ problem: { kind: 'missing' } });
  await server.report(pipeline, { articles_collected: 1 });
  await until(() => expect(feed.getSnapshot().value?.scrapingHealth.articlesCollected).toBe(1));
  await until(() => expect(feed.getSnapshot().connection).toMatchObject({ state: 'websocket', error: null }));
});

it.each(['websocket', 'sse'] as const)('the steps of alerts run beside (%s)', async (transport) => {
  const feed = start({ transports: [transport] });
  const steps: string[] = [];
  const running: boolean[] = [];
  feed.follow<{ alertEvents: { pipeline: string; to: string } }>({
    subscription: 'subscription ($since: ID) { alertEvents(since: $since) { pipeline to } }',
    variables: () => ({ since: null }),
    data: ({ alertEvents: { pipeline, to } }) => void steps.push(`${pipeline} ${to}`),
    running: (isRunning) => void running.push(isRunning),
  });
  await until(() => expect(running).toEqual([false, true]));
  const pipeline = `bad-${transport}`;
  await server.report(pipeline, { geocoding_attempts: 40, geocoding_successes: 1 });
  await until(() => expect(steps).toContain(`${pipeline} FIRING`));
  expect(running.at(-1)).toBe(true);
});

it('lists all sources when it is asked to', async () => {
  await server.report('large', ...Array.from({ length: 60 }, (_, index) => ({ source: `s${index}` })));
  const lengths = async (options: StatusFeedOptions) =>
    (await start({ pipeline: 'large', ...options }).refresh()).scrapingHealth.sources.length;
  for (const format of ['graphql', 'plain'] as const) {
    expect([await lengths({ format }), await lengths({ format, sources: 'all' })]).toEqual([50, 60]);
  }
});

it('the overview has every pipeline', async () => {
  const feed = createOverviewFeed({ url: server.url, webSocketImpl: WebSocket });
  feeds.push(feed);
  feed.subscribe(() => {});
  await until(() => expect(feed.getSnapshot().connection.state).toBe('websocket'));
  expect(feed.getSnapshot().value?.map((it) => it.key)).toEqual(expect.arrayContaining(['default', 'news']));
});
