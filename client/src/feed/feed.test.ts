import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { status } from '../../test/status-fixture';
import { compare } from './compare';
import { createFeed, type FeedOptions } from './feed';
import type { PipelineStatus } from './operation';
import { FeedError, problem } from './problem';
import type { Poll, Sink, SubscriptionRequest, Transport } from './transport';

/** A transport whose links the test plays. */
function fake(name: 'websocket' | 'sse') {
  const links: {
    sink: Sink<PipelineStatus>;
    token: string | null;
    isClosed: boolean;
    aborted: boolean;
    newest: string | undefined;
    pings: number;
    sideLinks: { request: SubscriptionRequest; sink: Sink<Record<string, unknown>>; isClosed: boolean }[];
  }[] = [];
  const transport: Transport<PipelineStatus> = {
    name,
    supportsPing: name === 'websocket',
    heartbeatTimeout: 0,
    open(sink, token, newest) {
      const link: (typeof links)[number] = {
        sink,
        token,
        newest: newest?.revision,
        isClosed: false,
        aborted: false,
        pings: 0,
        sideLinks: [],
      };
      links.push(link);
      return {
        subscribe(request, sink) {
          const sideLink = { request, sink, isClosed: false };
          link.sideLinks.push(sideLink);
          return {
            close() {
              sideLink.isClosed = true;
            },
          };
        },
        close(abort) {
          Object.assign(link, { isClosed: true, aborted: abort });
        },
        ping() {
          link.pings += 1;
        },
      };
    },
  };
  return { transport, links, last: () => links.at(-1) as (typeof links)[number] };
}

const at = (revision: string, second = 45) => status({ revision, timestamp: `2026-01-28T15:30:${second}Z` });
/** Lets promises settle without advancing the clock. */
const settle = () => vi.advanceTimersByTimeAsync(0);

function setUp(options: FeedOptions = {}) {
  const socket = fake('websocket');
  const events = fake('sse');
  const poll = vi.fn<Poll<PipelineStatus>>(async () => at('1'));
  const feed = createFeed({ compare }, [socket.transport, events.transport], poll, options);
  const seen: (string | undefined)[] = [];
  const listen = () => feed.subscribe(() => seen.push(feed.getSnapshot().value?.revision));
  return { socket, events, poll, feed, seen, listen, label: () => feed.getSnapshot().connection.label };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(Math, 'random').mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

describe('listening', () => {
  it('connects once for the first listener and disconnects after the last is removed', async () => {
    const { socket, feed, listen } = setUp();
    expect(socket.links).toHaveLength(0);
    const [removeFirst, removeSecond] = [listen(), listen()];
    await settle();
    expect(socket.links).toHaveLength(1);
    removeFirst();
    removeFirst();
    await vi.advanceTimersByTimeAsync(1_400);
    expect(socket.last().isClosed).toBe(false);
    removeSecond();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.last().isClosed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    feed.close();
  });
  it('keeps the connection when the only listener is replaced at once', async () => {
    const { socket, listen } = setUp();
    listen()();
    listen();
    await vi.advanceTimersByTimeAsync(1_400);
    expect(socket.links).toHaveLength(1);
    expect(socket.last().isClosed).toBe(false);
  });
  it('the snapshot is the same object until something changes', async () => {
    const { socket, feed, listen } = setUp();
    listen();
    await settle();
    socket.last().sink.data(at('5'));
    const before = feed.getSnapshot();
    socket.last().sink.activity();
    expect(feed.getSnapshot()).toBe(before);
    expect(before.receivedAt).toBe(1_000_000);
  });
  it('a closed feed has no timers or links and rejects refresh', async () => {
    const { socket, feed, listen, label } = setUp();
    listen();
    await settle();
    feed.close();
    expect([socket.last().isClosed, vi.getTimerCount(), label()]).toEqual([true, 0, 'Disconnected']);
    await expect(feed.refresh()).rejects.toThrow('closed');
    socket.last().sink.data(at('9'));
    expect(feed.getSnapshot().value).toBeNull();
  });
});

describe('the value', () => {
  it('is never replaced by an older revision or timestamp, on any transport', async () => {
    const { socket, poll, feed, seen, listen } = setUp();
    listen();
    await settle();
    const { sink } = socket.last();
    for (const value of [at('5'), at('4'), at('10'), at('10', 46), at('10', 45), at('9', 59)]) sink.data(value);
    poll.mockResolvedValueOnce(at('3'));
    await feed.refresh();
    expect(feed.getSnapshot().value).toEqual(at('10', 46));
    expect(seen.filter(Boolean).map(Number)).toEqual([...seen.filter(Boolean).map(Number)].sort((a, b) => a - b));
  });
  it('is confirmed by an unchanged poll', async () => {
    const { socket, poll, feed, listen } = setUp();
    listen();
    await settle();
    socket.last().sink.data(at('5'));
    vi.setSystemTime(1_002_000);
    poll.mockResolvedValueOnce(null);
    expect((await feed.refresh()).revision).toBe('5');
    expect(feed.getSnapshot().receivedAt).toBe(1_002_000);
  });
  it('keeps arriving while the feed falls back to polling and returns', async () => {
    const { socket, events, poll, feed, listen, label } = setUp();
    let revision = 100;
    poll.mockImplementation(async () => at(String(revision++)));
    listen();
    const labels = new Set<string>();
    feed.subscribe(() => labels.add(label()));
    let isBlocked = true;
    const block = () => {
      for (const { links } of [socket, events]) {
        for (const link of links) if (isBlocked && !link.isClosed) link.sink.closed(problem('network', 'blocked'));
      }
    };
    let last = 0;
    for (let seconds = 0; seconds < 70; seconds += 1) {
      block();
      await vi.advanceTimersByTimeAsync(1_000);
      if (feed.getSnapshot().receivedAt !== null)
        last = Math.max(last, Date.now() - (feed.getSnapshot().receivedAt ?? 0));
    }
    expect(label()).toBe('Polling mode');
    expect(last).toBeLessThan(6_000);
    isBlocked = false;
    const before = socket.links.length;
    while (socket.links.length === before) await vi.advanceTimersByTimeAsync(500);
    socket.last().sink.data(at('999'));
    expect(label()).toBe('Real-time updates');
    expect([...labels]).toEqual(['Reconnecting…', 'Polling mode', 'Real-time updates']);
    const polls = poll.mock.calls.length;
    await vi.advanceTimersByTimeAsync(9_000);
    expect(poll.mock.calls.length).toBe(polls);
  });
  it('is sent as the newest revision with every new link and poll, and changing it reopens nothing', async () => {
    const { socket, poll, feed, listen } = setUp();
    listen();
    await settle();
    expect(socket.last().newest).toBeUndefined();
    for (const revision of ['5', '6', '7']) socket.last().sink.data(at(revision));
    expect(socket.links).toHaveLength(1);
    await feed.refresh();
    expect(poll.mock.lastCall?.[2]?.revision).toBe('7');

    socket.last().sink.closed(problem('network', 'broke'));
    await vi.advanceTimersByTimeAsync(1_100);
    expect(socket.links.map((link) => link.newest)).toEqual([undefined, '7']);
  });
  it('is kept when the server is unreachable', async () => {
    const { socket, poll, feed, listen, label } = setUp();
    listen();
    await settle();
    socket.last().sink.data(at('5'));
    poll.mockRejectedValue(new FeedError(problem('network', 'gone')));
    socket.last().sink.closed(problem('network', 'gone', 1006));
    for (let seconds = 0; seconds < 40; seconds += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (!socket.last().isClosed) socket.last().sink.closed(problem('network', 'gone'));
    }
    expect(label()).toBe('Disconnected');
    expect(feed.getSnapshot().value?.revision).toBe('5');
    expect(feed.getSnapshot().receivedAt).toBe(1_000_000);
  });
  it('a socket that is open but silent is given up', async () => {
    const { socket, listen } = setUp();
    listen();
    await settle();
    socket.last().sink.data(at('5'));
    await vi.advanceTimersByTimeAsync(14_000);
    expect([socket.last().pings, socket.last().isClosed]).toEqual([2, false]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([socket.last().isClosed, socket.last().aborted]).toEqual([true, true]);
  });
});

describe('refresh', () => {
  it('works without listeners', async () => {
    const { feed } = setUp();
    expect((await feed.refresh()).revision).toBe('1');
    expect(feed.getSnapshot().value?.revision).toBe('1');
  });
  it('concurrent calls share one poll and its error', async () => {
    const { feed, poll } = setUp();
    poll.mockRejectedValueOnce(new FeedError(problem('notFound', 'none', 404)));
    const [first, second] = [feed.refresh(), feed.refresh()];
    await expect(first).rejects.toMatchObject({ problem: { kind: 'notFound' } });
    await expect(second).rejects.toBeInstanceOf(FeedError);
    expect(poll).toHaveBeenCalledTimes(1);
  });
  it('times out when the server does not respond', async () => {
    const { feed, poll } = setUp();
    poll.mockImplementation(
      (_, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('late')))),
    );
    const answer = expect(feed.refresh()).rejects.toThrow('late');
    await vi.advanceTimersByTimeAsync(10_000);
    await answer;
  });
});

describe('tokens', () => {
  it('are sent with every link and poll', async () => {
    const { socket, poll, feed, listen } = setUp({ token: 'secret' });
    listen();
    await feed.refresh();
    expect([socket.last().token, poll.mock.lastCall?.[0]]).toEqual(['secret', 'secret']);
  });
  it('the provider is called again only after the server rejected a token', async () => {
    const token = vi.fn(async (wasRejected: boolean) => (wasRejected ? 'new' : 'old'));
    const { socket, listen } = setUp({ token });
    listen();
    await settle();
    socket.last().sink.closed(problem('unauthorized', 'no', 4403));
    await vi.advanceTimersByTimeAsync(10);
    expect(socket.links.map((link) => link.token)).toEqual(['old', 'new']);
    socket.last().sink.closed(problem('network', 'broke'));
    await vi.advanceTimersByTimeAsync(1_100);
    expect(socket.links.map((link) => link.token)).toEqual(['old', 'new', 'new']);
    expect(token).toHaveBeenCalledTimes(2);
  });
  it('a provider that throws is called again later', async () => {
    const token = vi.fn(async () => 'good');
    token.mockRejectedValueOnce(new Error('no session'));
    const { socket, feed, listen } = setUp({ token });
    listen();
    await settle();
    expect(feed.getSnapshot().connection.error?.message).toBe('no session');
    await vi.advanceTimersByTimeAsync(1_100);
    expect(socket.last().token).toBe('good');
  });
  it('without a provider a rejected token stops the feed', async () => {
    const { socket, listen, label, feed } = setUp({ token: 'bad' });
    listen();
    await settle();
    socket.last().sink.closed(problem('unauthorized', 'Forbidden', 4403));
    expect([label(), feed.getSnapshot().connection.error?.code]).toEqual(['Disconnected', 4403]);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(socket.links).toHaveLength(1);
  });
});

describe('side subscriptions', () => {
  function subscribeAlso({ feed }: ReturnType<typeof setUp>) {
    const calls: (string | boolean)[] = [];
    let last: string | null = null;
    const end = feed.subscribeAlso<{ event: string }>({
      query: 'subscription { event }',
      variables: () => ({ since: last }),
      onData({ event }) {
        last = event;
        calls.push(event);
      },
      onActive: (isActive) => calls.push(isActive),
    });
    return { calls, end };
  }

  it('runs on the live stream and resumes on the next one after its last event', async () => {
    const setting = setUp();
    const { socket, listen } = setting;
    const { calls } = subscribeAlso(setting);
    listen();
    await settle();
    expect(socket.last().sideLinks).toEqual([]);
    socket.last().sink.data(at('1'));
    expect(socket.last().sideLinks.map((it) => it.request.variables)).toEqual([{ since: null }]);
    socket.last().sideLinks[0]?.sink.data({ event: '7' });
    expect(calls).toEqual([false, true, '7']);
    socket.last().sink.data(at('2'));
    expect(socket.last().sideLinks).toHaveLength(1);

    socket.last().sink.closed(problem('network', 'gone'));
    expect(calls.at(-1)).toBe(false);
    expect(socket.links[0]?.sideLinks[0]?.isClosed).toBe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    socket.last().sink.data(at('3'));
    expect(socket.last().sideLinks.map((it) => it.request.variables)).toEqual([{ since: '7' }]);
    expect(calls.at(-1)).toBe(true);
  });
  it('starts at once on a live feed and ends when unsubscribed', async () => {
    const setting = setUp();
    const { socket, listen } = setting;
    listen();
    await settle();
    socket.last().sink.data(at('1'));
    const { calls, end } = subscribeAlso(setting);
    expect(calls).toEqual([true]);
    end();
    expect(socket.last().sideLinks.map((it) => it.isClosed)).toEqual([true]);
    socket.last().sink.closed(problem('network', 'gone'));
    expect(calls).toEqual([true]);
  });
  it('becomes inactive when the server ends it alone', async () => {
    const setting = setUp();
    const { socket, listen, label } = setting;
    const { calls } = subscribeAlso(setting);
    listen();
    await settle();
    socket.last().sink.data(at('1'));
    socket.last().sideLinks[0]?.sink.closed(problem('network', 'too slow'));
    expect([calls.at(-1), label()]).toEqual([false, 'Real-time updates']);
  });
  it('ends with the feed', async () => {
    const setting = setUp();
    const { socket, feed, listen } = setting;
    const { calls } = subscribeAlso(setting);
    listen();
    await settle();
    socket.last().sink.data(at('1'));
    feed.close();
    expect([calls.at(-1), socket.last().sideLinks[0]?.isClosed]).toEqual([false, true]);
  });
});
