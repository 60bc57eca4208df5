import { FeedError, problemFromError, problemFromGraphqlErrors, problemFromStatus, streamEnded } from '../problem';
import { bearerHeader, closeOnce, type Link, type Sink, type SubscriptionRequest } from '../transport';
import { readEvents } from './sse-reader';

/** Subscriptions over Server-Sent Events. */
export interface SseClient {
  subscribe(request: SubscriptionRequest, sink: Sink<Record<string, unknown>>): Link;
  /** Closes the connection. */
  dispose(): void;
}

type Result = { data?: Record<string, unknown>; errors?: Parameters<typeof problemFromGraphqlErrors>[0] };

function deliver(sink: Sink<Record<string, unknown>>, { data, errors }: Result) {
  if (data) sink.data(data);
  else sink.closed(problemFromGraphqlErrors(errors ?? []));
}

const jsonHeaders = (token: string | null) => ({ ...bearerHeader(token), 'content-type': 'application/json' });

/** graphql-sse in distinct connections mode: one stream per operation. */
export function distinctConnections(url: string, token: string | null, onActivity: () => void): SseClient {
  return {
    subscribe(request, given) {
      const sink = closeOnce(given);
      const aborter = new AbortController();
      const close = () => {
        sink.detach();
        aborter.abort();
      };
      const init = {
        method: 'POST',
        headers: jsonHeaders(token),
        body: JSON.stringify(request),
        signal: aborter.signal,
      };
      readEvents(url, init, onActivity, (name, data) => {
        if (name === 'next') deliver(sink, JSON.parse(data));
        else throw new FeedError(streamEnded());
      })
        .catch((error) => sink.closed(problemFromError(error)))
        .finally(close);
      return { close };
    },
    dispose() {},
  };
}

/** graphql-sse in single connection mode: one stream for all operations, each started by a request of its own. */
export function singleConnection(url: string, token: string | null, onActivity: () => void): SseClient {
  const sinks = new Map<string, ReturnType<typeof closeOnce<Record<string, unknown>>>>();
  const aborter = new AbortController();
  let lastId = 0;
  let headers: Record<string, string> = {};

  const send = async (method: string, expectedStatus: number, target = url, body?: unknown) => {
    const response = await fetch(target, {
      method,
      headers: { ...jsonHeaders(token), ...headers },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (response.status === expectedStatus) return response;
    const result: Result = await response.json().catch(() => ({}));
    throw new FeedError(result.errors ? problemFromGraphqlErrors(result.errors) : problemFromStatus(response.status));
  };
  const fail = (error: unknown) => {
    for (const sink of sinks.values()) sink.closed(problemFromError(error));
    sinks.clear();
    aborter.abort();
  };
  const onEvent = (name: string, text: string) => {
    // The protocol keeps the stream alive with empty events.
    if (!text) return;
    const { id, payload } = JSON.parse(text) as { id: string; payload: Result };
    const sink = sinks.get(id);
    if (name === 'next') sink && deliver(sink, payload);
    else {
      sinks.delete(id);
      sink?.closed(streamEnded());
    }
  };
  const ready = (async () => {
    headers = { 'x-graphql-event-stream-token': await (await send('PUT', 201)).text() };
    await new Promise<void>((resolve) => {
      const init = { headers: { ...bearerHeader(token), ...headers }, signal: aborter.signal };
      readEvents(url, init, onActivity, onEvent, resolve).catch(fail);
    });
  })();
  ready.catch(fail);

  return {
    subscribe(request, given) {
      const sink = closeOnce(given);
      lastId += 1;
      const operationId = String(lastId);
      sinks.set(operationId, sink);
      ready
        .then(() => send('POST', 202, url, { ...request, extensions: { operationId } }))
        .catch((error) => {
          sinks.delete(operationId);
          sink.closed(problemFromError(error));
        });
      return {
        close() {
          sink.detach();
          if (!sinks.delete(operationId)) return;
          if (sinks.size === 0) aborter.abort();
          else send('DELETE', 200, `${url}?operationId=${operationId}`).catch(() => {});
        },
      };
    },
    dispose: () => aborter.abort(),
  };
}
