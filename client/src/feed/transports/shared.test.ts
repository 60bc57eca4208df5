import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { status } from '../../../test/samples';
import { type PipelineStatus, statusOf } from '../operation';
import { type Problem, problem } from '../problem';
import type { Asked, Link, Sink } from '../transport';
import { share } from './shared';
import type { Streams } from './sse';

/** Web Locks of a browser: one holder for a name, the others in their order. */
class Locks {
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
        const place = queue.indexOf(run);
        // The signal ends only the wait for a lock.
        if (place > 0) {
          queue.splice(place, 1);
          reject(new DOMException('aborted', 'AbortError'));
        }
      });
      queue.push(run);
      if (queue.length === 1) queueMicrotask(run);
    });
  }
}

/** The stream of each tab that leads. */
class Server {
  running: { asked: Asked; sink: Sink<Record<string, unknown>>; isOver: boolean }[] = [];
  streams = 0;

  connect = (): Streams => {
    this.streams += 1;
    return {
      start: (asked, sink) => {
        const operation = { asked, sink, isOver: false };
        this.running.push(operation);
        return {
          close() {
            operation.isOver = true;
          },
        };
      },
      end: () => {
        this.streams -= 1;
      },
    };
  };

  active() {
    return this.running.filter((it) => !it.isOver);
  }
}

/** BroadcastChannel, of whose messages it is known whether any is under way. */
class Channel {
  static all = new Set<Channel>();
  static underWay = 0;
  onmessage: (event: { data: unknown }) => void = () => {};

  constructor(readonly name: string) {
    Channel.all.add(this);
  }

  postMessage(message: unknown) {
    for (const other of Channel.all) {
      if (other === this || other.name !== this.name) continue;
      const data = structuredClone(message);
      Channel.underWay += 1;
      queueMicrotask(() => {
        Channel.underWay -= 1;
        if (Channel.all.has(other)) other.onmessage({ data });
      });
    }
  }

  close() {
    Channel.all.delete(this);
  }
}

interface Tab {
  link: Link;
  seen: string[];
  ends: Problem[];
}
const tabs: Tab[] = [];
let server: Server;

function openTab(pipeline = 'news', token: string | null = null): Tab {
  const tab: Tab = { link: { close() {} }, seen: [], ends: [] };
  const sink: Sink<PipelineStatus> = {
    data: (value) => void tab.seen.push(value.revision),
    alive() {},
    closed: (why) => void tab.ends.push(why),
  };
  tab.link = share('http://host', statusOf(pipeline, false), sink, token, server.connect);
  tabs.push(tab);
  return tab;
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 2_000, interval: 2 });
const send = (revision: string) => {
  for (const { sink } of server.active()) sink.data({ pipelineStatusUpdates: status({ revision }) });
};

beforeEach(() => {
  server = new Server();
  vi.stubGlobal('navigator', { locks: new Locks() });
});
afterEach(() => {
  for (const { link } of tabs.splice(0)) link.close(false);
  vi.unstubAllGlobals();
});

it('seven tabs share one stream, and one that comes later sees the newest at once', async () => {
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

it('another takes over when the leader goes, and nobody notices', async () => {
  const [leader, second, third] = [openTab(), openTab(), openTab()];
  await until(() => expect(server.active()).toHaveLength(1));
  leader.link.close(false);
  await until(() => expect(server.active()).toHaveLength(1));
  await until(() => expect(server.streams).toBe(1));
  send('3');
  await until(() => expect([second.seen, third.seen]).toEqual([['3'], ['3']]));
  expect([leader.seen, second.ends, third.ends]).toEqual([[], [], []]);
});

it('tabs that watch different pipelines share the stream, and see their own', async () => {
  const [news, demo] = [openTab('news'), openTab('demo')];
  await until(() => expect(server.active()).toHaveLength(2));
  expect(server.streams).toBe(1);
  const other = server.active().find((it) => it.asked.variables.pipeline === 'demo');
  other?.sink.data({ pipelineStatusUpdates: status({ pipeline: 'demo', revision: '7' }) });
  await until(() => expect(demo.seen).toEqual(['7']));
  expect(news.seen).toEqual([]);
});

it('when the stream breaks its tab is told, and the next tries one of its own', async () => {
  const [leader, next] = [openTab(), openTab()];
  await until(() => expect(server.active()).toHaveLength(1));
  const [operation] = server.active();
  if (operation) operation.isOver = true;
  operation?.sink.closed(problem('network', 'broke'));
  expect(leader.ends.map((it) => it.message)).toEqual(['broke']);
  await until(() => expect([server.active().length, server.streams]).toEqual([1, 1]));
  send('5');
  await until(() => expect(next.seen).toEqual(['5']));
});

it('tabs with different tokens do not share', async () => {
  openTab('news', 'a');
  openTab('news', 'b');
  await until(() => expect(server.streams).toBe(2));
});

it('what nobody wants any more ends after a few rounds, and what is wanted goes on', async () => {
  vi.stubGlobal('BroadcastChannel', Channel);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    openTab('news');
    const [gone, stays] = [openTab('gone'), openTab('stays')];
    await until(() => expect(server.active()).toHaveLength(3));
    gone.link.close(false);
    for (let round = 0; round < 5; round += 1) {
      vi.advanceTimersByTime(60_000);
      // What the leader asked is answered.
      await until(() => expect(Channel.underWay).toBe(0));
    }
    expect(server.active().map((it) => it.asked.variables.pipeline)).toEqual(['news', 'stays']);
    expect(stays.ends).toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});

it('without locks or channels it is unavailable', async () => {
  vi.stubGlobal('navigator', {});
  const tab = openTab();
  await until(() => expect(tab.ends.map((it) => it.kind)).toEqual(['unavailable']));
});
