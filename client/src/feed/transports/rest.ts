import { compare } from '../compare';
import type { Operation, PipelineStatus } from '../operation';
import {
  FeedError,
  pipelineNotFound,
  problem,
  problemFromCloseCode,
  problemFromError,
  problemFromStatus,
  webSocketMissing,
} from '../problem';
import { bearerHeader, closeOnce, failedLink, type Poll, type Transport } from '../transport';
import type { SseClient } from './graphql-sse';
import { fetchWithEtag } from './polling';
import { readEvents } from './sse-reader';

export function restRoutes(base: string, pipeline: string, all: boolean) {
  const query = `?pipeline=${encodeURIComponent(pipeline)}${all ? '&sources=all' : ''}`;
  const path = '/monitoring/pipeline-status';
  const api = `${base}/api/v1`;
  return { poll: `${api}${path}${query}`, stream: `${api}${path}/stream${query}`, socket: `${api}/ws${path}${query}` };
}

/** The status over REST; its subscription is the URL of the event stream. */
export function restOperation(stream: string): Operation<PipelineStatus> {
  return {
    key: stream,
    query: '',
    subscription: stream,
    variables: () => ({}),
    extract: statusFromJson,
    compare,
  };
}

/** REST JSON as the GraphQL type: camel-case names, upper-case enums, counts as a list, and null rates without attempts. */
export function statusFromJson(json: unknown): PipelineStatus {
  const status = toGraphqlNames(json) as PipelineStatus;
  const { dataQuality: quality, scrapingHealth: health } = status;
  return {
    ...status,
    scrapingHealth: {
      ...health,
      sources: health.sources.map((it) => ({ ...it, successRate: it.runs ? it.successRate : null })),
    },
    dataQuality: {
      ...quality,
      geocodingSuccessRate: quality.geocodingAttempts ? quality.geocodingSuccessRate : null,
      validationPassRate: quality.validationAttempts ? quality.validationPassRate : null,
    },
  };
}

const ENUM_FIELDS = ['status', 'overall_status', 'basis', 'type', 'severity', 'state'];

function toGraphqlNames(value: unknown, field = ''): unknown {
  if (field === 'counts') return Object.entries(value as object).map(([name, value]) => ({ name, value }));
  if (Array.isArray(value)) return value.map((item) => toGraphqlNames(item));
  if (typeof value === 'string' && ENUM_FIELDS.includes(field)) return value.toUpperCase().replaceAll('-', '_');
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, it]) => [key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), toGraphqlNames(it, key)]),
  );
}

export function restWebSocket(url: string, webSocketImpl?: unknown): Transport<PipelineStatus> {
  return {
    name: 'websocket',
    supportsPing: false,
    heartbeatTimeout: 0,
    open(given, token) {
      const sink = closeOnce(given);
      const Socket = (webSocketImpl ?? globalThis.WebSocket) as typeof WebSocket | undefined;
      if (!Socket) return failedLink(sink, webSocketMissing());
      // Browsers cannot set headers on a WebSocket, so the token is sent in the query.
      const credentials = token ? `&access_token=${encodeURIComponent(token)}` : '';
      const socket = new Socket(url.replace(/^http/, 'ws') + credentials);
      // `close` follows every error; npm `ws` throws unhandled error events.
      socket.onerror = () => {};
      socket.onmessage = ({ data }) => sink.data(statusFromJson(JSON.parse(data)));
      socket.onclose = ({ code, reason }) => sink.closed(problemFromCloseCode(code, reason));
      return {
        close() {
          sink.detach();
          if (socket.readyState === 1) socket.close(1000);
          else socket.onopen = () => socket.close(1000);
        },
      };
    },
  };
}

/** Browsers allow six connections to a host over HTTP/1.1; further tabs poll. */
const MAX_STREAMS = 3;

/** The event streams of the REST API, one connection each. The URL is the request's `query`. */
export function restEventStreams(token: string | null, onActivity: () => void): SseClient {
  let openStreams = 0;
  return {
    subscribe({ query: url }, given) {
      const sink = closeOnce(given);
      const aborter = new AbortController();
      if (openStreams >= MAX_STREAMS) return failedLink(sink, problem('unsupported', 'too many streams'));
      openStreams += 1;
      readEvents(url, { headers: bearerHeader(token), signal: aborter.signal }, onActivity, (name, data) => {
        // The status includes the alerts, so alert events are skipped.
        if (name === 'status') sink.data(JSON.parse(data));
      })
        .catch((error) => sink.closed(problemFromError(error)))
        .finally(() => {
          openStreams -= 1;
        });
      return {
        close() {
          sink.detach();
          aborter.abort();
        },
      };
    },
    dispose() {},
  };
}

export function restPolling(url: string): Poll<PipelineStatus> {
  let last: PipelineStatus | null = null;
  const load = fetchWithEtag('application/json', async (response) => {
    if (response.status === 404) throw pipelineNotFound();
    if (!response.ok) throw new FeedError(problemFromStatus(response.status));
    return statusFromJson(await response.json());
  });
  return async (token, signal) => {
    const { response, value } = await load(url, token, signal);
    // A 304 confirms the last status as of a later timestamp.
    const timestamp = response.headers.get('x-status-timestamp') ?? last?.timestamp;
    last = value ?? (last && timestamp ? { ...last, timestamp } : last);
    return last;
  };
}
