import type { TransportName } from './connection';
import { createFeed, type Feed, type FeedOptions } from './feed';
import { type Operation, overview, type PipelineStatus, type PipelineSummary, statusOf } from './operation';
import type { Poll, Transport } from './transport';
import { eventStream } from './transports/event-stream';
import { plainPolling, plainSocket, plainStreams, read, routes } from './transports/plain';
import { polling } from './transports/polling';
import { distinct, single } from './transports/sse';
import { websocket } from './transports/websocket';

export interface ServerOptions extends FeedOptions {
  /**
   * The server's http(s) address, with its path when a proxy gives it one.
   * @default the page's own origin
   */
  url?: string | undefined;
  /**
   * The streams that may be used; polling is always there.
   * @default ['websocket', 'sse']
   */
  transports?: readonly TransportName[] | undefined;
  /** Where there is no global WebSocket (Node before 22): the class of npm `ws`. */
  webSocketImpl?: unknown;
}

export interface StatusFeedOptions extends ServerOptions {
  /** @default 'default' */
  pipeline?: string | undefined;
  /**
   * `worst`: the 50 worst sources are listed; `all`: all are.
   * @default 'worst'
   */
  sources?: 'worst' | 'all' | undefined;
  /**
   * `plain`: the plain routes, where a proxy lets no GraphQL through. The value is the same.
   * @default 'graphql'
   */
  format?: 'graphql' | 'plain' | undefined;
}

/** The status of a pipeline, kept the newest there is. */
export function createStatusFeed(options: StatusFeedOptions = {}): Feed<PipelineStatus> {
  const { pipeline = 'default', sources = 'worst', format } = options;
  const operation = statusOf(pipeline, sources === 'all');
  if (format !== 'plain') return overGraphql(options, operation);
  const { poll, stream, socket } = routes(address(options), pipeline, sources === 'all');
  const plain: Operation<PipelineStatus> = {
    ...operation,
    key: stream,
    subscription: stream,
    variables: {},
    pick: read,
  };
  return create(
    options,
    plain,
    [plainSocket(socket, options.webSocketImpl), eventStream(address(options), plain, plainStreams, false)],
    plainPolling(poll),
  );
}

/** All pipelines with the worst of each. */
export function createOverviewFeed(options: ServerOptions = {}): Feed<readonly PipelineSummary[]> {
  return overGraphql(options, overview);
}

function overGraphql<T>(options: ServerOptions, operation: Operation<T>): Feed<T> {
  const url = `${address(options)}/graphql`;
  const socket = websocket(url, operation, options.webSocketImpl);
  const connect = (token: string | null, alive: () => void, isShared: boolean) =>
    (isShared ? single : distinct)(url, token, alive);
  const events = eventStream(url, operation, connect, true);
  return create(options, operation, [socket, events], polling(url, operation));
}

function create<T>(options: ServerOptions, operation: Operation<T>, all: Transport<T>[], poll: Poll<T>): Feed<T> {
  const { transports } = options;
  return createFeed(operation, transports ? all.filter(({ name }) => transports.includes(name)) : all, poll, options);
}

function address({ url = globalThis.location?.origin ?? '' }: ServerOptions): string {
  return url.replace(/\/+$/, '');
}
