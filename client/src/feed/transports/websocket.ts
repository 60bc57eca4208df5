import { createClient } from 'graphql-ws';
import type { Operation } from '../operation';
import {
  type Problem,
  problemFromCloseCode,
  problemFromGraphqlErrors,
  streamEnded,
  webSocketMissing,
} from '../problem';
import { bearerHeader, closeOnce, failedLink, type Sink, type SubscriptionRequest, type Transport } from '../transport';

/** graphql-transport-ws. The feed decides about retries, so those of the graphql-ws client are off. */
export function websocket<T>(url: string, operation: Operation<T>, webSocketImpl?: unknown): Transport<T> {
  return {
    name: 'websocket',
    supportsPing: true,
    heartbeatTimeout: 0,
    open(given, token, newest) {
      const sink = closeOnce(given);
      let socket: WebSocket | undefined;
      if (!webSocketImpl && typeof WebSocket === 'undefined') return failedLink(sink, webSocketMissing());
      const client = createClient({
        url: url.replace(/^http/, 'ws'),
        connectionParams: bearerHeader(token),
        webSocketImpl,
        retryAttempts: 0,
        on: {
          opened: (opened) => {
            socket = opened as WebSocket;
          },
          message: sink.activity,
          closed: (event) => {
            const { code, reason } = event as CloseEvent;
            // Without this the client reconnects at once after close code 1000.
            void Promise.resolve(client.dispose()).catch(() => {});
            sink.closed(problemFromCloseCode(code, reason));
          },
        },
      });
      const subscribe = (request: SubscriptionRequest, target: Sink<Record<string, unknown>>) => {
        const end = (reason: Problem) => {
          unsubscribe();
          target.closed(reason);
        };
        const unsubscribe = client.subscribe<Record<string, unknown>>(
          { ...request },
          {
            next: ({ data, errors }) => {
              if (data) target.data(data);
              else end(problemFromGraphqlErrors(errors ?? []));
            },
            // Failures of the socket arrive in `closed`; only errors of the operation matter here.
            error: (errors) => Array.isArray(errors) && end(problemFromGraphqlErrors(errors)),
            complete: () => end(streamEnded()),
          },
        );
        return unsubscribe;
      };
      const unsubscribe = subscribe(
        { query: operation.subscription, variables: operation.variables(newest) },
        { ...sink, data: (data) => sink.data(operation.extract(data)) },
      );
      return {
        close(abort) {
          sink.detach();
          if (abort) client.terminate();
          else unsubscribe();
        },
        ping: () => socket?.readyState === 1 && socket.send('{"type":"ping"}'),
        subscribe(request, given) {
          const target = closeOnce(given);
          const stop = subscribe(request, target);
          return {
            close() {
              target.detach();
              stop();
            },
          };
        },
      };
    },
  };
}
