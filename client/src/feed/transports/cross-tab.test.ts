import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { status } from '../../../test/status-fixture';
import { type PipelineStatus, statusOperation } from '../operation';
import { type Problem, problem } from '../problem';
import type { Link, Sink, SubscriptionRequest } from '../transport';
import { shareAcrossTabs } from './cross-tab';
import type { SseClient } from './graphql-sse';

/** The Web Locks API: one holder per name, the others queue. */
class FakeLocks {
  #queues = new Map<string, (() => void)[]>();

  request(name: string, { signal }: { signal: AbortSignal }, held: () => Promise<void> | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      const run = async () => {
        await held();
        queue.shift();
        queue[0]?.();
        resolve();
      };
      signal.addEventListener('abort', () => {
        const position = queue.indexOf(run);
        // The signal cancels only a pending request.
        if (position > 0) {
          queue.splice(position, 1);
          reject(new DOMException('aborted', 'AbortError'));
        }
      });
      queue.push(run);
      if (queue.length === 1) queueMicrotask(run);
    });
  }
}

/** The server side of the leader's stream. */
class FakeServer {
  subscriptions: { request: SubscriptionRequest; sink: Sink<Record<string, unknown>>; isEnded: boolean }[] = [];
  streams = 0;

  connect = (): SseClient => {
    this.streams += 1;
    return {
      subscribe: (request, sink) => {
        const subscription = { request, sink, isEnded: false };
        this.subscriptions.push(subscription);
        return {
          close() {
            subscription.isEnded = true;
          },
        };
      },
      dispose: () => {
        this.streams -= 1;
      },
    };
  };

  active() {
    return this.subscriptions.filter((it) => !it.isEnded);
  }
}

/** A BroadcastChannel that counts its undelivered messages. */
class FakeChannel {
  static open = new Set<FakeChannel>();
  static undelivered = 0;
  onmessage: (event: { data: unknown }) => void = () => {};

  constructor(readonly name: string) {
    FakeChannel.open.add(this);
  }

  postMessage(message: unknown) {
    for (const other of FakeChannel.open) {
      if (other === this || other.name !== this.name) continue;
      const data = structuredClone(message);
      FakeChannel.undelivered += 1;
      queueMicrotask(() => {
        FakeChannel.undelivered -= 1;
        if (FakeChannel.open.has(other)) other.onmessage({ data });
      });
    }
  }

  close() {
    FakeChannel.open.delete(this);
  }
}

interface Tab {
  link: Link;
  seen: string[];
  problems: Problem[];
}
const tabs: Tab[] = [];
let server: FakeServer;

function openTab(pipeline = 'news', token: string | null = null): Tab {
  const tab: Tab = { link: { close() {} }, seen: [], problems: [] };
  const sink: Sink<PipelineStatus> = {
    data: (value) => void tab.seen.push(value.revision),
    activity() {},
    closed: (problem) => void tab.problems.push(problem),
  };
  tab.link = shareAcrossTabs('http://host', statusOperation(pipeline, false), null, sink, token, server.connect);
  tabs.push(tab);
  return tab;
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 2_000, interval: 2 });
const send = (revision: string) => {
  for (const { sink } of server.active()) sink.data({ pipelineStatusUpdates: status({ revision }) });
};

beforeEach(() => {
  server = new FakeServer();
  vi.stubGlobal('navigator', { locks: new FakeLocks() });
});
afterEach(() => {
  for (const { link } of tabs.splice(0)) link.close(false);
  vi.unstubAllGlobals();
});

it('seven tabs share one stream, and a late tab receives the newest status at once', async () => {
  for (let count = 0; count < 6; count += 1) openTab();
  await until(() => expect(server.active()).toHaveLength(1));
  send('1');
  await until(() => expect(tabs.map((it) => it.seen)).toEqual(Array(6).fill(['1'])));
  const late = openTab();
  await until(() => expect(late.seen).toEqual(['1']));
  send('2');
  await until(() => expect(tabs.map((it) => it.seen.at(-1))).toEqual(Array(7).fill('2')));
  expect([server.streams, server.active().length]).toEqual([1, 1]);
});

it('another tab takes over when the leader closes, without a gap', async () => {
  const [leader, second, third] = [openTab(), openTab(), openTab()];
  await until(() => expect(server.active()).toHaveLength(1));
  leader.link.close(false);
  await until(() => expect(server.active()).toHaveLength(1));
  await until(() => expect(server.streams).toBe(1));
  send('3');
  await until(() => expect([second.seen, third.seen]).toEqual([['3'], ['3']]));
  expect([leader.seen, second.problems, third.problems]).toEqual([[], [], []]);
});

it('a new leader subscribes with the newest revision it has seen', async () => {
  const [leader, next] = [openTab(), openTab()];
  await until(() => expect(server.active()).toHaveLength(1));
  expect(server.active()[0]?.request.variables.sinceRevision).toBeNull();
  send('8');
  await until(() => expect(next.seen).toEqual(['8']));
  leader.link.close(false);
  await until(() => expect(server.active().map((it) => it.request.variables.sinceRevision)).toEqual(['8']));
});

it('tabs with different pipelines share the stream and receive their own', async () => {
  const [news, demo] = [openTab('news'), openTab('demo')];
  await until(() => expect(server.active()).toHaveLength(2));
  expect(server.streams).toBe(1);
  const other = server.active().find((it) => it.request.variables.pipeline === 'demo');
  other?.sink.data({ pipelineStatusUpdates: status({ pipeline: 'demo', revision: '7' }) });
  await until(() => expect(demo.seen).toEqual(['7']));
  expect(news.seen).toEqual([]);
});

it('a broken stream is reported to its tab, and the next tab opens another', async () => {
  const [leader, next] = [openTab(), openTab()];
  await until(() => expect(server.active()).toHaveLength(1));
  const [subscription] = server.active();
  if (subscription) subscription.isEnded = true;
  subscription?.sink.closed(problem('network', 'broke'));
  expect(leader.problems.map((it) => it.message)).toEqual(['broke']);
  await until(() => expect([server.active().length, server.streams]).toEqual([1, 1]));
  send('5');
  await until(() => expect(next.seen).toEqual(['5']));
});

it('tabs with different tokens do not share', async () => {
  openTab('news', 'a');
  openTab('news', 'b');
  await until(() => expect(server.streams).toBe(2));
});

it('a subscription without tabs ends after a few heartbeats, and the others continue', async () => {
  vi.stubGlobal('BroadcastChannel', FakeChannel);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    openTab('news');
    const [closing, staying] = [openTab('closing'), openTab('staying')];
    await until(() => expect(server.active()).toHaveLength(3));
    closing.link.close(false);
    for (let heartbeat = 0; heartbeat < 5; heartbeat += 1) {
      vi.advanceTimersByTime(60_000);
      // Every tab has answered the leader.
      await until(() => expect(FakeChannel.undelivered).toBe(0));
    }
    expect(server.active().map((it) => it.request.variables.pipeline)).toEqual(['news', 'staying']);
    expect(staying.problems).toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});

it('sharing is unsupported without Web Locks', async () => {
  vi.stubGlobal('navigator', {});
  const tab = openTab();
  await until(() => expect(tab.problems.map((it) => it.kind)).toEqual(['unsupported']));
});
