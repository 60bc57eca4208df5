import type { TransportName } from './connection';
import { createFeed, type Feed, type FeedOptions } from './feed';
import {
  type Operation,
  overviewOperation,
  type PipelineStatus,
  type PipelineSummary,
  statusOperation,
} from './operation';
import type { Poll, Transport } from './transport';
import { eventStream } from './transports/event-stream';
import { distinctConnections, singleConnection } from './transports/graphql-sse';
import { polling } from './transports/polling';
import { restEventStreams, restOperation, restPolling, restRoutes, restWebSocket } from './transports/rest';
import { websocket } from './transports/websocket';

export interface ServerOptions extends FeedOptions {
  /**
   * The server's http(s) URL, including the path prefix of a proxy.
   * @default the origin of the page
   */
  url?: string | undefined;
  /**
   * The streams that may be used. Polling is always available.
   * @default ['websocket', 'sse']
   */
  transports?: readonly TransportName[] | undefined;
  /** The `WebSocket` class of npm `ws`, for environments without one (Node.js before 22). */
  webSocketImpl?: unknown;
}

export interface StatusFeedOptions extends ServerOptions {
  /** @default 'default' */
  pipeline?: string | undefined;
  /**
   * `worst` lists the 50 worst sources; `all` lists every source.
   * @default 'worst'
   */
  sources?: 'worst' | 'all' | undefined;
  /**
   * `rest` uses the REST routes, for networks that block GraphQL. The value has the same type.
   * @default 'graphql'
   */
  api?: 'graphql' | 'rest' | undefined;
}

/** A feed of one pipeline's status. */
export function createStatusFeed(options: StatusFeedOptions = {}): Feed<PipelineStatus> {
  const { pipeline = 'default', sources = 'worst', api } = options;
  if (api !== 'rest') return createGraphqlFeed(options, statusOperation(pipeline, sources === 'all'));
  const base = baseUrl(options);
  const routes = restRoutes(base, pipeline, sources === 'all');
  const operation = restOperation(routes.stream);
  return create(
    options,
    operation,
    [restWebSocket(routes.socket, options.webSocketImpl), eventStream(base, operation, restEventStreams, false)],
    restPolling(routes.poll),
  );
}

/** A feed of all pipelines in short. */
export function createOverviewFeed(options: ServerOptions = {}): Feed<readonly PipelineSummary[]> {
  return createGraphqlFeed(options, overviewOperation);
}

function createGraphqlFeed<T>(options: ServerOptions, operation: Operation<T>): Feed<T> {
  const url = `${baseUrl(options)}/graphql`;
  const connect = (token: string | null, onActivity: () => void, isShared: boolean) =>
    (isShared ? singleConnection : distinctConnections)(url, token, onActivity);
  const streams = [websocket(url, operation, options.webSocketImpl), eventStream(url, operation, connect, true)];
  return create(options, operation, streams, polling(url, operation));
}

function create<T>(options: ServerOptions, operation: Operation<T>, streams: Transport<T>[], poll: Poll<T>): Feed<T> {
  const { transports } = options;
  const allowed = transports ? streams.filter(({ name }) => transports.includes(name)) : streams;
  return createFeed(operation, allowed, poll, options);
}

function baseUrl({ url = globalThis.location?.origin ?? '' }: ServerOptions): string {
  return url.replace(/\/+$/, '');
}
