import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import {
  createOverviewFeed,
  createStatusFeed,
  type Feed,
  type PipelineStatus,
  type StatusFeedOptions,
} from '../src/feed';
import { FaultProxy } from './support/proxy';
import { PipewatchServer } from './support/server';

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

/** The status without its timestamp, which changes without an update. */
const withoutTimestamp = (status: PipelineStatus | null) => ({ ...status, timestamp: '' });

it('every transport of both APIs delivers the same status and every change', async () => {
  const all = (['graphql', 'rest'] as const).flatMap((api) =>
    ([['websocket'], ['sse'], []] as const).map((transports) => ({ feed: start({ api, transports }), transports })),
  );
  const [reference] = all;
  for (const { feed, transports } of all) {
    await until(() => expect(feed.getSnapshot().connection.state).toBe(transports[0] ?? 'polling'));
  }
  await server.report('news', { source: 'c', validation_attempts: 4, validation_passes: 4 });
  for (const { feed } of all) {
    await until(() => expect(feed.getSnapshot().value?.scrapingHealth.totalSources).toBe(3));
    // REST responses may have additional fields.
    expect(withoutTimestamp(feed.getSnapshot().value)).toMatchObject(
      withoutTimestamp(reference?.feed.getSnapshot().value ?? null),
    );
    expect(feed.getSnapshot().connection.error).toBeNull();
  }
});

it.each(['graphql', 'rest'] as const)('a pipeline that is created later is found (%s)', async (api) => {
  const pipeline = `late-${api}`;
  const feed = start({ pipeline, api });
  await until(() => expect(feed.getSnapshot().connection.error?.kind).toBe('notFound'));
  await expect(feed.refresh()).rejects.toMatchObject({ problem: { kind: 'notFound' } });
  await server.report(pipeline, { articles_collected: 1 });
  await until(() => expect(feed.getSnapshot().value?.scrapingHealth.articlesCollected).toBe(1));
  await until(() => expect(feed.getSnapshot().connection).toMatchObject({ state: 'websocket', error: null }));
});

it.each(['websocket', 'sse'] as const)('alert events share the connection (%s)', async (transport) => {
  const feed = start({ transports: [transport] });
  const events: string[] = [];
  const activity: boolean[] = [];
  feed.subscribeAlso<{ alertEvents: { pipeline: string; to: string } }>({
    query: 'subscription ($since: ID) { alertEvents(since: $since) { pipeline to } }',
    variables: () => ({ since: null }),
    onData: ({ alertEvents: { pipeline, to } }) => void events.push(`${pipeline} ${to}`),
    onActive: (isActive) => void activity.push(isActive),
  });
  await until(() => expect(activity).toEqual([false, true]));
  const pipeline = `bad-${transport}`;
  await server.report(pipeline, { geocoding_attempts: 40, geocoding_successes: 1 });
  await until(() => expect(events).toContain(`${pipeline} FIRING`));
  expect(activity.at(-1)).toBe(true);
});

it('never shows an older status after reconnecting to a server that is behind', async () => {
  const behind = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '500ms' });
  await behind.report('news', { articles_collected: 1 });
  await server.report('news', { source: 'd', articles_collected: 1 });
  const proxy = await FaultProxy.start(server);
  const subscriptions: { sinceRevision: string | null }[] = [];
  class RecordingWebSocket extends WebSocket {
    override send(data: string) {
      const { type, payload } = JSON.parse(data);
      if (type === 'subscribe') subscriptions.push(payload.variables);
      super.send(data);
    }
  }
  try {
    const feed = start({ url: proxy.url, transports: ['websocket'], webSocketImpl: RecordingWebSocket });
    const revisions: bigint[] = [];
    feed.subscribe(() => {
      const { value } = feed.getSnapshot();
      if (value) revisions.push(BigInt(value.revision));
    });
    await until(() => expect(feed.getSnapshot().connection.state).toBe('websocket'));
    await server.report('news', { source: 'e', articles_collected: 1 });
    await until(() => expect(new Set(revisions).size).toBeGreaterThan(1));
    expect(subscriptions.map((it) => it.sinceRevision)).toEqual([null]);
    const newest = feed.getSnapshot().value?.revision;

    proxy.switchTo(behind);
    await until(() => expect(subscriptions).toHaveLength(2));
    expect(subscriptions.at(-1)?.sinceRevision).toBe(newest);
    await until(() => expect(feed.getSnapshot().connection.state).toBe('websocket'));
    expect(feed.getSnapshot().value?.revision).toBe(newest);

    await behind.report('news', { source: 'f', articles_collected: 1 });
    await until(() => expect(revisions.at(-1)).toBeGreaterThan(BigInt(newest ?? 0)));
    expect(revisions).toEqual([...revisions].sort((a, b) => (a < b ? -1 : Number(a > b))));
    expect(subscriptions).toHaveLength(2);
  } finally {
    await proxy.stop();
    await behind.stop();
  }
});

it('lists all sources on request', async () => {
  await server.report('large', ...Array.from({ length: 60 }, (_, index) => ({ source: `s${index}` })));
  const lengths = async (options: StatusFeedOptions) =>
    (await start({ pipeline: 'large', ...options }).refresh()).scrapingHealth.sources.length;
  for (const api of ['graphql', 'rest'] as const) {
    expect([await lengths({ api }), await lengths({ api, sources: 'all' })]).toEqual([50, 60]);
  }
});

it('the overview lists every pipeline', async () => {
  const feed = createOverviewFeed({ url: server.url, webSocketImpl: WebSocket });
  feeds.push(feed);
  feed.subscribe(() => {});
  await until(() => expect(feed.getSnapshot().connection.state).toBe('websocket'));
  expect(feed.getSnapshot().value?.map((it) => it.key)).toEqual(expect.arrayContaining(['default', 'news']));
});
