import type { Operation } from '../operation';
import type { Sink, Transport } from '../transport';
import { share } from './shared';
import type { Streams } from './sse';

/** The server sends a comment after 15 s without an event. */
export const HEARTBEAT = 20_000;

/**
 * Server-Sent Events. In a browser over HTTP/1.1 the tabs share one stream.
 *
 * @param carriesMore whether another operation can be asked for in the same way
 */
export function eventStream<T>(
  url: string,
  operation: Operation<T>,
  connect: (token: string | null, alive: () => void, single: boolean) => Streams,
  carriesMore: boolean,
): Transport<T> {
  const begin = <V>(what: What<V>, sink: Sink<V>, token: string | null) => {
    if (typeof document !== 'undefined' && !isMultiplexed(url)) {
      return share(url, what, sink, token, (alive) => connect(token, alive, true));
    }
    const data = (it: Record<string, unknown>) => sink.data(what.pick(it));
    return connect(token, sink.alive, false).start(what, { ...sink, data });
  };
  return {
    name: 'sse',
    pings: false,
    quiet: HEARTBEAT,
    open(sink, token) {
      const link = begin(operation, sink, token);
      if (!carriesMore) return link;
      return {
        close: link.close,
        also: (asked, other) => begin({ ...asked, key: JSON.stringify(asked), pick: (data) => data }, other, token),
      };
    },
  };
}

type What<T> = Pick<Operation<T>, 'key' | 'subscription' | 'variables' | 'pick'>;

/** Whether connections to the address carry many streams (HTTP/2 and later), as far as the browser says. */
export function isMultiplexed(url: string): boolean {
  const { origin } = new URL(url);
  const entries = [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')];
  const ours = entries.filter((entry) => entry.name.startsWith(`${origin}/`)) as PerformanceResourceTiming[];
  return ours.some(({ nextHopProtocol }) => /^h[23]/.test(nextHopProtocol));
}
