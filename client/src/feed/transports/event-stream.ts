import type { Operation } from '../operation';
import type { Sink, Transport } from '../transport';
import { type SharedOperation, shareAcrossTabs } from './cross-tab';
import type { SseClient } from './graphql-sse';

/** The server sends a comment after 15 s without an event. */
const HEARTBEAT_TIMEOUT = 20_000;

/**
 * Server-Sent Events. In a browser over HTTP/1.1 the tabs share one stream.
 *
 * @param isMultiplexing whether the stream can carry further subscriptions
 */
export function eventStream<T>(
  url: string,
  operation: Operation<T>,
  connect: (token: string | null, onActivity: () => void, isShared: boolean) => SseClient,
  isMultiplexing: boolean,
): Transport<T> {
  const start = <V>(shared: SharedOperation<V>, newest: V | null, sink: Sink<V>, token: string | null) => {
    if (typeof document !== 'undefined' && !usesHttp2(url)) {
      return shareAcrossTabs(url, shared, newest, sink, token, (onActivity) => connect(token, onActivity, true));
    }
    const request = { query: shared.subscription, variables: shared.variables(newest) };
    const data = (data: Record<string, unknown>) => sink.data(shared.extract(data));
    return connect(token, sink.activity, false).subscribe(request, { ...sink, data });
  };
  return {
    name: 'sse',
    supportsPing: false,
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
    open(sink, token, newest) {
      const link = start(operation, newest, sink, token);
      if (!isMultiplexing) return link;
      return {
        close: link.close,
        subscribe: (request, target) => {
          const { query: subscription, variables } = request;
          const key = JSON.stringify(request);
          return start({ key, subscription, variables: () => variables, extract: (data) => data }, null, target, token);
        },
      };
    },
  };
}

/** Whether connections to the URL carry many streams (HTTP/2 and later), as far as the browser reveals it. */
function usesHttp2(url: string): boolean {
  const { origin } = new URL(url);
  const entries = performance.getEntries() as PerformanceResourceTiming[];
  return entries.some(({ name, nextHopProtocol }) => name.startsWith(`${origin}/`) && /^h[23]/.test(nextHopProtocol));
}
