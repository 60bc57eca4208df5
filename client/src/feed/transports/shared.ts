import type { Operation } from '../operation';
import { type Problem, problem } from '../problem';
import { type Asked, type Link, once, type Sink } from '../transport';
import type { Streams } from './sse';

/**
 * One tab of an origin holds the stream and shares it: browsers allow six connections to a host over HTTP/1.1, and a
 * stream in each of six tabs would leave none for anything else. Who holds the Web Lock leads; the browser passes it on
 * when a tab goes, however it goes.
 */
export function share<T>(
  address: string,
  operation: Pick<Operation<T>, 'key' | 'subscription' | 'variables' | 'pick'>,
  given: Sink<T>,
  token: string | null,
  connect: (alive: () => void) => Streams,
): Link {
  const sink = once(given);
  if (typeof BroadcastChannel === 'undefined' || !navigator.locks) {
    queueMicrotask(() => sink.closed(problem('unavailable', 'tabs cannot share a stream here')));
    return { close: sink.end };
  }
  const name = `pipewatch ${address} ${digest(token ?? '')}`;
  const channel = new BroadcastChannel(name);
  const { key, subscription, variables } = operation;
  const want: Want = { want: key, what: { subscription, variables } };
  let isOver = false;
  let seen: string | undefined;
  let release: (() => void) | undefined;
  const leave = () => {
    if (isOver) return;
    isOver = true;
    sink.end();
    aborter.abort();
    release?.();
    channel.close();
  };
  const receive = (message: Message) => {
    if (isOver) return;
    if ('from' in message) channel.postMessage(want);
    else if (!('want' in message)) {
      sink.alive();
      if (message.key !== key) return;
      if (message.closed) {
        sink.closed(message.closed);
        leave();
      } else if (message.data && message.stamp !== seen) {
        // The newest is told again whenever a tab comes, to all.
        seen = message.stamp;
        sink.data(operation.pick(message.data));
      }
    }
  };
  channel.onmessage = ({ data }) => receive(data);
  channel.postMessage(want);
  const aborter = new AbortController();
  navigator.locks
    .request(name, { signal: aborter.signal }, () => {
      if (isOver) return;
      // What the leader tells the others it tells itself.
      const stop = lead(channel, want, receive, connect);
      return new Promise<void>((resolve) => {
        release = () => {
          stop();
          resolve();
        };
      });
    })
    .catch(() => {});
  return { close: leave };
}

type Message =
  /** A leader asks who wants what. */
  | { readonly from: 'leader' }
  | Want
  /** Without data or an end it says that the stream lives. */
  | {
      readonly key: string | null;
      readonly data?: Record<string, unknown>;
      /** Tells what is told again from what is new. */
      readonly stamp?: string;
      readonly closed?: Problem;
    };

interface Want {
  readonly want: string;
  readonly what: Asked;
}

/** How often the leader asks, and after how many times unanswered an operation ends: hidden tabs may answer late. */
const ROUND = 60_000;
const ROUNDS = 3;

/** Runs what the tabs want. @returns a function that ends it */
function lead(
  channel: BroadcastChannel,
  own: Want,
  receive: (message: Message) => void,
  connect: (alive: () => void) => Streams,
): () => void {
  type Running = { link: Link; latest?: { data: Record<string, unknown>; stamp: string }; idle: number };
  const running = new Map<string, Running>();
  const leader = Math.random().toString(36).slice(2);
  let told = 0;
  const tell = (message: Message) => {
    if (isOver) return;
    channel.postMessage(message);
    receive(message);
  };
  let isOver = false;
  const streams = connect(() => tell({ key: null }));
  const run = (message: Message) => {
    if (!('want' in message)) return;
    const { want: key, what } = message;
    const before = running.get(key);
    if (before) {
      before.idle = 0;
      if (before.latest) tell({ key, ...before.latest });
      return;
    }
    const operation: Running = {
      idle: 0,
      link: streams.start(what, {
        data(data) {
          told += 1;
          operation.latest = { data, stamp: `${leader} ${told}` };
          tell({ key, ...operation.latest });
        },
        alive() {},
        closed(why) {
          running.delete(key);
          tell({ key, closed: why });
        },
      }),
    };
    running.set(key, operation);
  };
  channel.onmessage = ({ data }) => run(data);
  run(own);
  channel.postMessage({ from: 'leader' } satisfies Message);
  const rounds = setInterval(() => {
    for (const [key, operation] of running) {
      operation.idle += 1;
      if (key === own.want || operation.idle <= ROUNDS) continue;
      operation.link.close(false);
      running.delete(key);
    }
    channel.postMessage({ from: 'leader' } satisfies Message);
  }, ROUND);
  return () => {
    isOver = true;
    clearInterval(rounds);
    for (const { link } of running.values()) link.close(false);
    streams.end();
  };
}

/** Tabs with different tokens may be shown different things, so they do not share. FNV-1a: it need not be secret, but short. */
function digest(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash;
}
