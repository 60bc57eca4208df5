import { createClient } from 'graphql-ws';
import type { Operation } from '../operation';
import { ofClose, ofGraphqlErrors, type Problem, problem } from '../problem';
import { type Asked, bearer, once, type Sink, type Transport } from '../transport';

/** Over graphql-transport-ws. Whether and when to try again is the feed's to say, so the client's own retries are off. */
export function websocket<T>(url: string, operation: Operation<T>, webSocketImpl?: unknown): Transport<T> {
  return {
    name: 'websocket',
    pings: true,
    quiet: 0,
    open(given, token) {
      const sink = once(given);
      let socket: WebSocket | undefined;
      if (!webSocketImpl && typeof WebSocket === 'undefined') {
        queueMicrotask(() => sink.closed(problem('unavailable', 'there is no WebSocket here')));
        return { close: sink.end };
      }
      const client = createClient({
        url: url.replace(/^http/, 'ws'),
        connectionParams: bearer(token),
        webSocketImpl,
        retryAttempts: 0,
        on: {
          opened: (it) => {
            socket = it as WebSocket;
          },
          message: sink.alive,
          closed: (event) => {
            const { code, reason } = event as CloseEvent;
            // Otherwise the client takes a 1000 of the other side for a reason to connect again at once.
            void Promise.resolve(client.dispose()).catch(() => {});
            sink.closed(ofClose(code, reason));
          },
        },
      });
      const run = ({ subscription: query, variables }: Asked, to: Sink<Record<string, unknown>>) => {
        const leave = (why: Problem) => {
          unsubscribe();
          to.closed(why);
        };
        const unsubscribe = client.subscribe<Record<string, unknown>>(
          { query, variables },
          {
            next: ({ data, errors }) => {
              if (data) to.data(data);
              else leave(ofGraphqlErrors(errors ?? []));
            },
            // Of a socket that failed, `closed` tells; here come the errors of the operation.
            error: (errors) => Array.isArray(errors) && leave(ofGraphqlErrors(errors)),
            complete: () => leave(problem('network', 'the stream ended')),
          },
        );
        return unsubscribe;
      };
      const unsubscribe = run(operation, { ...sink, data: (it) => sink.data(operation.pick(it)) });
      return {
        close(abort) {
          sink.end();
          if (abort) client.terminate();
          else unsubscribe();
        },
        ping: () => socket?.readyState === 1 && socket.send('{"type":"ping"}'),
        also(asked, given) {
          const other = once(given);
          const stop = run(asked, other);
          return {
            close() {
              other.end();
              stop();
            },
          };
        },
      };
    },
  };
}
