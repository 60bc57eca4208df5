import type { Operation } from '../operation';
import { type Problem, problem } from '../problem';
import { closeOnce, failedLink, type Link, type Sink, type SubscriptionRequest } from '../transport';
import type { SseClient } from './graphql-sse';

export type SharedOperation<T> = Pick<Operation<T>, 'key' | 'subscription' | 'variables' | 'extract'>;

/**
 * Shares one event stream between the tabs of an origin: browsers allow six connections to a host over HTTP/1.1, so a stream
 * in each of six tabs would leave none for other requests. The tab that holds the Web Lock leads and runs the subscriptions of
 * all tabs; when it closes, the browser passes the lock to another tab.
 */
export function shareAcrossTabs<T>(
  url: string,
  operation: SharedOperation<T>,
  initial: T | null,
  given: Sink<T>,
  token: string | null,
  connect: (onActivity: () => void) => SseClient,
): Link {
  const sink = closeOnce(given);
  if (typeof BroadcastChannel === 'undefined' || !navigator.locks)
    return failedLink(sink, problem('unsupported', 'tabs cannot share a stream'));
  const name = `pipewatch:${url}:${hash(token ?? '')}`;
  const channel = new BroadcastChannel(name);
  const { key } = operation;
  const lockAborter = new AbortController();
  let newest = initial;
  let lastSequence: string | undefined;
  let isClosed = false;
  let releaseLock: (() => void) | undefined;

  const subscribeMessage = (): SubscribeMessage => {
    const request = { query: operation.subscription, variables: operation.variables(newest) };
    return { type: 'subscribe', key, request };
  };
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    sink.detach();
    lockAborter.abort();
    releaseLock?.();
    channel.close();
  };
  const onMessage = (message: Message) => {
    if (isClosed || message.type === 'subscribe') return;
    if (message.type === 'leader') {
      channel.postMessage(subscribeMessage());
      return;
    }
    sink.activity();
    if (message.type === 'activity' || message.key !== key) return;
    if (message.type === 'closed') {
      sink.closed(message.problem);
      close();
    } else if (message.sequence !== lastSequence) {
      // The leader repeats the newest data to every tab whenever a tab joins.
      lastSequence = message.sequence;
      newest = operation.extract(message.data);
      sink.data(newest);
    }
  };

  channel.onmessage = ({ data }) => onMessage(data);
  channel.postMessage(subscribeMessage());
  navigator.locks
    .request(name, { signal: lockAborter.signal }, () => {
      if (isClosed) return;
      // A channel does not deliver to its own tab, so the leader calls `onMessage` for itself.
      const stop = runAsLeader(channel, subscribeMessage(), onMessage, connect);
      return new Promise<void>((resolve) => {
        releaseLock = () => {
          stop();
          resolve();
        };
      });
    })
    .catch(() => {});
  return { close };
}

interface SubscribeMessage {
  readonly type: 'subscribe';
  readonly key: string;
  readonly request: SubscriptionRequest;
}

type Message =
  | SubscribeMessage
  /** Asks every tab for its subscription. */
  | { readonly type: 'leader' }
  | { readonly type: 'activity' }
  | {
      readonly type: 'data';
      readonly key: string;
      readonly data: Record<string, unknown>;
      /** Unique per value, to recognise repeated ones. */
      readonly sequence: string;
    }
  | { readonly type: 'closed'; readonly key: string; readonly problem: Problem };

/** How often the leader asks the tabs for their subscriptions, in milliseconds. */
const HEARTBEAT = 60_000;
/** Missed heartbeats after which a subscription ends: hidden tabs may answer late. */
const MAX_MISSED_HEARTBEATS = 3;

/** Runs the subscriptions of all tabs. @returns a function that ends them */
function runAsLeader(
  channel: BroadcastChannel,
  own: SubscribeMessage,
  onMessage: (message: Message) => void,
  connect: (onActivity: () => void) => SseClient,
): () => void {
  type Running = {
    link: Link;
    latest?: { data: Record<string, unknown>; sequence: string };
    /** Heartbeats that no tab has answered. */
    missed: number;
  };
  const running = new Map<string, Running>();
  const leaderId = Math.random();
  let sequence = 0;
  let isStopped = false;
  const broadcast = (message: Message) => {
    if (isStopped) return;
    channel.postMessage(message);
    onMessage(message);
  };
  const client = connect(() => broadcast({ type: 'activity' }));
  const start = ({ key, request }: SubscribeMessage) => {
    const existing = running.get(key);
    if (existing) {
      existing.missed = 0;
      if (existing.latest) broadcast({ type: 'data', key, ...existing.latest });
      return;
    }
    const subscription: Running = {
      missed: 0,
      link: client.subscribe(request, {
        data(data) {
          sequence += 1;
          subscription.latest = { data, sequence: `${leaderId} ${sequence}` };
          broadcast({ type: 'data', key, ...subscription.latest });
        },
        activity() {},
        closed(reason) {
          running.delete(key);
          broadcast({ type: 'closed', key, problem: reason });
        },
      }),
    };
    running.set(key, subscription);
  };
  channel.onmessage = ({ data }: { data: Message }) => data.type === 'subscribe' && start(data);
  start(own);
  channel.postMessage({ type: 'leader' } satisfies Message);
  const heartbeat = setInterval(() => {
    for (const [key, subscription] of running) {
      subscription.missed += 1;
      if (key === own.key || subscription.missed <= MAX_MISSED_HEARTBEATS) continue;
      subscription.link.close(false);
      running.delete(key);
    }
    channel.postMessage({ type: 'leader' } satisfies Message);
  }, HEARTBEAT);
  return () => {
    isStopped = true;
    clearInterval(heartbeat);
    for (const { link } of running.values()) link.close(false);
    client.dispose();
  };
}

/** FNV-1a. Tabs with different tokens may see different data, so they do not share a stream. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return value;
}
