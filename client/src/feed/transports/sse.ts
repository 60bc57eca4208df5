import { FeedError, ofError, ofGraphqlErrors, ofStatus, problem } from '../problem';
import { type Asked, bearer, type Link, once, type Sink } from '../transport';
import { readEvents } from './events';

/** Where streams are started. */
export interface Streams {
  start(asked: Asked, sink: Sink<Record<string, unknown>>): Link;
  /** Ends what is left of the connection when nothing more will be started. */
  end(): void;
}

type Result = { data?: Record<string, unknown>; errors?: Parameters<typeof ofGraphqlErrors>[0] };

const ended = () => problem('network', 'the stream ended');

function give(sink: Sink<Record<string, unknown>>, { data, errors }: Result) {
  if (data) sink.data(data);
  else sink.closed(ofGraphqlErrors(errors ?? []));
}

const json = (token: string | null) => ({ ...bearer(token), 'content-type': 'application/json' });

/** graphql-sse, distinct connections: a stream for each operation. */
export function distinct(url: string, token: string | null, alive: () => void): Streams {
  return {
    start({ subscription: query, variables }, given) {
      const sink = once(given);
      const aborter = new AbortController();
      const body = JSON.stringify({ query, variables });
      const close = () => {
        sink.end();
        aborter.abort();
      };
      readEvents(url, { method: 'POST', headers: json(token), body, signal: aborter.signal }, alive, (name, data) => {
        if (name === 'next') give(sink, JSON.parse(data));
        else throw new FeedError(ended());
      })
        .catch((error) => sink.closed(ofError(error)))
        .finally(close);
      return { close };
    },
    end() {},
  };
}

/** graphql-sse, single connection: one stream for all operations, which are asked for beside it. */
export function single(url: string, token: string | null, alive: () => void): Streams {
  const sinks = new Map<string, ReturnType<typeof once<Record<string, unknown>>>>();
  const aborter = new AbortController();
  let last = 0;
  let headers: Record<string, string> = {};
  const send = async (method: string, expected: number, address = url, body?: unknown) => {
    const response = await fetch(address, {
      method,
      headers: { ...json(token), ...headers },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (response.status === expected) return response;
    const answer: Result = await response.json().catch(() => ({}));
    throw new FeedError(answer.errors ? ofGraphqlErrors(answer.errors) : ofStatus(response.status));
  };
  const fail = (error: unknown) => {
    for (const sink of sinks.values()) sink.closed(ofError(error));
    sinks.clear();
    aborter.abort();
  };
  const onEvent = (name: string, text: string) => {
    // Between the events the protocol keeps the stream alive with empty ones.
    if (!text) return;
    const { id, payload } = JSON.parse(text) as { id: string; payload: Result };
    const sink = sinks.get(id);
    if (name === 'next') sink && give(sink, payload);
    else {
      sinks.delete(id);
      sink?.closed(ended());
    }
  };
  const ready = (async () => {
    headers = { 'x-graphql-event-stream-token': await (await send('PUT', 201)).text() };
    await new Promise<void>((resolve) => {
      readEvents(
        url,
        { headers: { ...bearer(token), ...headers }, signal: aborter.signal },
        alive,
        onEvent,
        resolve,
      ).catch(fail);
    });
  })();
  ready.catch(fail);
  return {
    start({ subscription: query, variables }, given) {
      const sink = once(given);
      last += 1;
      const operationId = String(last);
      sinks.set(operationId, sink);
      ready
        .then(() => send('POST', 202, url, { query, variables, extensions: { operationId } }))
        .catch((error) => {
          sinks.delete(operationId);
          sink.closed(ofError(error));
        });
      return {
        close() {
          sink.end();
          if (!sinks.delete(operationId)) return;
          if (sinks.size === 0) aborter.abort();
          else send('DELETE', 200, `${url}?operationId=${operationId}`).catch(() => {});
        },
      };
    },
    end: () => aborter.abort(),
  };
}
