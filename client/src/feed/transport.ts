import type { Operation } from './operation';
import type { Problem } from './problem';

/** What is asked of a stream. */
export type Asked = Pick<Operation<unknown>, 'subscription' | 'variables'>;

/** What a stream tells. After `closed` it tells nothing more. */
export interface Sink<T> {
  data(value: T): void;
  /** Something came, whatever it was. */
  alive(): void;
  closed(problem: Problem): void;
}

/** A stream that was opened. */
export interface Link {
  /** @param abort nothing is heard of the other side: do not wait for it */
  close(abort: boolean): void;
  /** Asks for a sign of life. */
  ping?(): void;
  /** Runs another operation over the same connection, where that can carry more than one. It ends with this link. */
  also?(asked: Asked, sink: Sink<Record<string, unknown>>): Link;
}

/** A way to have values pushed. */
export interface Transport<T> {
  readonly name: 'websocket' | 'sse';
  /** Whether its links can ask for a sign of life. */
  readonly pings: boolean;
  /** How long a healthy link may be silent though the server says nothing new, in milliseconds. */
  readonly quiet: number;
  open(sink: Sink<T>, token: string | null): Link;
}

/** A way to ask for the newest value: null when it is the one that was answered before. */
export type Poll<T> = (token: string | null, signal: AbortSignal) => Promise<T | null>;

/** Lets through what a link tells until it has closed or is closed, so that a transport need not keep count. */
export function once<T>(sink: Sink<T>): Sink<T> & { end(): void } {
  let isOver = false;
  return {
    data: (value) => isOver || sink.data(value),
    alive: () => isOver || sink.alive(),
    closed(problem) {
      if (!isOver) {
        isOver = true;
        sink.closed(problem);
      }
    },
    end() {
      isOver = true;
    },
  };
}

export function bearer(token: string | null): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}
