import type { PipelineStatus } from '../operation';
import { FeedError, ofClose, ofError, ofStatus, problem } from '../problem';
import { bearer, once, type Poll, type Transport } from '../transport';
import { readEvents } from './events';
import { tagged } from './polling';
import type { Streams } from './sse';

/** The plain routes below the server's address. */
export function routes(base: string, pipeline: string, all: boolean) {
  const query = `?pipeline=${encodeURIComponent(pipeline)}${all ? '&sources=all' : ''}`;
  const path = '/monitoring/pipeline-status';
  const api = `${base}/api/v1`;
  return { poll: `${api}${path}${query}`, stream: `${api}${path}/stream${query}`, socket: `${api}/ws${path}${query}` };
}

/** Plain JSON as the type that GraphQL gives: names in camel case, enumerations in upper case, no rate without attempts. */
export function read(json: unknown): PipelineStatus {
  const status = convert(json) as PipelineStatus;
  const { dataQuality: quality, scrapingHealth: health } = status;
  return {
    ...status,
    scrapingHealth: {
      ...health,
      sources: health.sources.map((it) => ({ ...it, successRate: it.runs > 0 ? it.successRate : null })),
    },
    dataQuality: {
      ...quality,
      geocodingSuccessRate: quality.geocodingAttempts > 0 ? quality.geocodingSuccessRate : null,
      validationPassRate: quality.validationAttempts > 0 ? quality.validationPassRate : null,
    },
  };
}

const ENUMERATIONS = new Set(['status', 'overall_status', 'basis', 'type', 'severity', 'state']);

function convert(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(item));
  if (typeof value === 'string' && ENUMERATIONS.has(name)) return value.toUpperCase().replaceAll('-', '_');
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, it]) => [key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), convert(it, key)]),
  );
}

export function plainSocket(url: string, implementation?: unknown): Transport<PipelineStatus> {
  return {
    name: 'websocket',
    pings: false,
    quiet: 0,
    open(given, token) {
      const sink = once(given);
      const Socket = (implementation ?? globalThis.WebSocket) as typeof WebSocket | undefined;
      if (!Socket) {
        queueMicrotask(() => sink.closed(problem('unavailable', 'there is no WebSocket here')));
        return { close: sink.end };
      }
      // A page cannot give a WebSocket a header, so the server takes the token here too.
      const access = token ? `&access_token=${encodeURIComponent(token)}` : '';
      const address = url.replace(/^http/, 'ws') + access;
      const socket = new Socket(address);
      // `close` comes after it; npm `ws` throws what nobody listens to.
      socket.onerror = () => {};
      socket.onmessage = ({ data }) => sink.data(read(JSON.parse(data)));
      socket.onclose = ({ code, reason }) => sink.closed(ofClose(code, reason));
      return {
        close() {
          sink.end();
          if (socket.readyState === 1) socket.close(1000);
          else socket.onopen = () => socket.close(1000);
        },
      };
    },
  };
}

/** Browsers allow six connections to a host over HTTP/1.1: beyond these the tabs poll. */
const AT_MOST = 3;

/** The plain event streams, a connection for each. The address is in `subscription`. */
export function plainStreams(token: string | null, alive: () => void): Streams {
  let open = 0;
  return {
    start({ subscription: url }, given) {
      const sink = once(given);
      const aborter = new AbortController();
      if (open >= AT_MOST) {
        queueMicrotask(() => sink.closed(problem('unavailable', 'too many streams for one host')));
        return { close: sink.end };
      }
      open += 1;
      readEvents(url, { headers: bearer(token), signal: aborter.signal }, alive, (name, data) => {
        // Alerts come as events of their own, and are in the status too.
        if (name === 'status') sink.data(JSON.parse(data));
      })
        .catch((error) => sink.closed(ofError(error)))
        .finally(() => {
          open -= 1;
        });
      return {
        close() {
          sink.end();
          aborter.abort();
        },
      };
    },
    end() {},
  };
}

export function plainPolling(url: string): Poll<PipelineStatus> {
  let last: PipelineStatus | null = null;
  const ask = tagged(url, 'application/json', async (response) => {
    if (response.status === 404) throw new FeedError(problem('missing', 'there is no such pipeline', 404));
    if (!response.ok) throw new FeedError(ofStatus(response.status));
    return read(await response.json());
  });
  return async (token, signal) => {
    const { response, value } = await ask(token, signal);
    // The same, and as of a later instant.
    const timestamp = response.headers.get('x-status-timestamp') ?? last?.timestamp;
    last = value ?? (last && timestamp ? { ...last, timestamp } : last);
    return last;
  };
}
