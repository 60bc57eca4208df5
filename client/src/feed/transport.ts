import type { Problem } from './problem';

/** A subscription as it is sent. */
export interface SubscriptionRequest {
  /** The GraphQL document; over REST, the URL of the stream. */
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

/** Receives what arrives on a link. After `closed` nothing more arrives. */
export interface Sink<T> {
  data(value: T): void;
  /** Called for every message, heartbeats included. */
  activity(): void;
  closed(problem: Problem): void;
}

/** An open stream. */
export interface Link {
  /** @param abort close without waiting, because the other side does not respond */
  close(abort: boolean): void;
  ping?(): void;
  /** Starts another subscription on the same connection, where it can carry several. It ends with this link. */
  subscribe?(request: SubscriptionRequest, sink: Sink<Record<string, unknown>>): Link;
}

/** A way to receive pushed values. */
export interface Transport<T> {
  readonly name: 'websocket' | 'sse';
  /** Whether its links can ping the server. */
  readonly supportsPing: boolean;
  /** The longest silence of a healthy connection, in milliseconds; 0 if only the feed's interval matters. */
  readonly heartbeatTimeout: number;
  /** @param newest the newest value shown, sent to the server so that it sends nothing older */
  open(sink: Sink<T>, token: string | null, newest: T | null): Link;
}

/** Loads the newest value once; null when it has not changed since the last call. */
export type Poll<T> = (token: string | null, signal: AbortSignal, newest: T | null) => Promise<T | null>;

/** Drops everything after `closed` or `detach`, so that transports need not track it. */
export function closeOnce<T>(sink: Sink<T>): Sink<T> & { detach(): void } {
  let isClosed = false;
  return {
    data: (value) => isClosed || sink.data(value),
    activity: () => isClosed || sink.activity(),
    closed(problem) {
      if (isClosed) return;
      isClosed = true;
      sink.closed(problem);
    },
    detach() {
      isClosed = true;
    },
  };
}

/** A link that cannot be opened. It closes after its caller has received it. */
export function failedLink<T>(sink: ReturnType<typeof closeOnce<T>>, problem: Problem): Link {
  queueMicrotask(() => sink.closed(problem));
  return { close: sink.detach };
}

export function bearerHeader(token: string | null): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}
