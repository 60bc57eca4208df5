import { expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { PLAIN, status } from '../../../test/samples';
import { Source, serve, serveSocket, serveSse } from '../../../test/servers';
import type { PipelineStatus } from '../operation';
import { statusOf } from '../operation';
import type { FeedError, Problem } from '../problem';
import type { Sink } from '../transport';
import { plainPolling, plainStreams, read, routes } from './plain';
import { polling } from './polling';
import { distinct, single } from './sse';
import { websocket } from './websocket';

const operation = statusOf('news', false);
const signal = new AbortController().signal;

function recorder<T>() {
  const data: T[] = [];
  const ends: Problem[] = [];
  const sink: Sink<T> & { alives: number } = {
    alives: 0,
    data: (value) => void data.push(value),
    alive() {
      sink.alives += 1;
    },
    closed: (why) => void ends.push(why),
  };
  return { data, ends, sink };
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 3_000, interval: 5 });

function source() {
  const it = new Source();
  it.put(status({ revision: '1' }));
  return it;
}

it('a WebSocket carries the status, is asked for a sign of life, and ends the subscription', async () => {
  const values = source();
  const params = vi.fn(() => true);
  const { url } = await serveSocket(values, params);
  const { data, ends, sink } = recorder<PipelineStatus>();
  const link = websocket(url, operation, WebSocket).open(sink, 'secret');
  await until(() => expect(data).toEqual([status({ revision: '1' })]));
  expect(params).toHaveBeenCalledWith({ authorization: 'Bearer secret' });
  values.put(status({ revision: '2' }));
  await until(() => expect(data).toHaveLength(2));
  const before = sink.alives;
  link.ping?.();
  await until(() => expect(sink.alives).toBe(before + 1));
  link.close(false);
  await until(() => expect(values.active).toBe(0));
  expect(ends).toEqual([]);
});

it('a WebSocket carries another subscription beside, which ends alone or with the link', async () => {
  const values = source();
  const { url, sockets } = await serveSocket(values);
  const [own, beside] = [recorder<PipelineStatus>(), recorder<Record<string, unknown>>()];
  const link = websocket(url, operation, WebSocket).open(own.sink, null);
  await until(() => expect(own.data).toHaveLength(1));
  const other = link.also?.(operation, beside.sink);
  await until(() => expect(beside.data).toEqual([{ pipelineStatusUpdates: status({ revision: '1' }) }]));
  expect(sockets.clients.size).toBe(1);
  other?.close(false);
  await until(() => expect(values.active).toBe(1));
  values.put(status({ revision: '2' }));
  await until(() => expect(own.data).toHaveLength(2));
  expect(beside.data).toHaveLength(1);
  link.also?.({ ...operation, subscription: 'subscription { nothing }' }, beside.sink);
  await until(() => expect(beside.ends.map((it) => it.kind)).toEqual(['fatal']));
  expect(own.ends).toEqual([]);
  link.close(false);
  await until(() => expect([values.active, sockets.clients.size]).toEqual([0, 0]));
});

it.each([
  [1000, 'network'],
  [1012, 'restart'],
  [1013, 'network'],
  [4400, 'fatal'],
  [4401, 'fatal'],
  [4403, 'refused'],
  [4406, 'fatal'],
])('a WebSocket closed with %i is once and for all %s', async (code, kind) => {
  const { url, sockets } = await serveSocket(source());
  const { data, ends, sink } = recorder<PipelineStatus>();
  websocket(url, operation, WebSocket).open(sink, null);
  await until(() => expect(data).toHaveLength(1));
  for (const socket of sockets.clients) socket.close(code, 'because');
  await until(() => expect(ends).toEqual([{ kind, code, message: 'because' }]));
  await until(() => expect(sockets.clients.size).toBe(0));
});

it('a handshake that is refused is a failure, and no socket at all is unavailable', async () => {
  const { url } = await serve((_, response) => response.writeHead(503).end());
  const refused = recorder<PipelineStatus>();
  websocket(url, operation, WebSocket).open(refused.sink, null);
  await until(() => expect(refused.ends.map((it) => it.kind)).toEqual(['network']));
  vi.stubGlobal('WebSocket', undefined);
  const none = recorder<PipelineStatus>();
  websocket(url, operation).open(none.sink, null);
  vi.unstubAllGlobals();
  await until(() => expect(none.ends.map((it) => it.kind)).toEqual(['unavailable']));
});

it('errors and the end of an operation over a WebSocket close the link', async () => {
  const wrong = { ...operation, subscription: 'subscription { nothing }' };
  const values = source();
  const { url, sockets } = await serveSocket(values);
  const { ends, sink } = recorder<PipelineStatus>();
  websocket(url, wrong, WebSocket).open(sink, null);
  await until(() => expect(ends.map((it) => it.kind)).toEqual(['fatal']));
  const other = recorder<PipelineStatus>();
  websocket(url, operation, WebSocket).open(other.sink, null);
  await until(() => expect(other.data).toHaveLength(1));
  values.end();
  await until(() => expect(other.ends.map((it) => it.kind)).toEqual(['network']));
  await until(() => expect(sockets.clients.size).toBe(0));
});

it.each([
  ['distinct', distinct],
  ['single', single],
])('graphql-sse, %s connections, against the reference server', async (_, open) => {
  const values = source();
  const { url, requests } = await serveSse(values);
  const { data, ends, sink } = recorder<Record<string, unknown>>();
  const alive = vi.fn();
  const streams = open(url, 'secret', alive);
  const link = streams.start(operation, sink);
  const second = recorder<Record<string, unknown>>();
  const other = streams.start(operation, second.sink);
  await until(() => expect([data.length, second.data.length]).toEqual([1, 1]));
  expect(operation.pick(data[0] ?? {})).toEqual(status({ revision: '1' }));
  expect(new Set(requests.map((it) => it.split(' ').slice(1).join(' ')))).toEqual(new Set(['Bearer secret']));
  expect(alive).toHaveBeenCalled();
  link.close(false);
  await until(() => expect(values.active).toBe(1));
  values.put(status({ revision: '2' }));
  await until(() => expect(second.data).toHaveLength(2));
  expect(data).toHaveLength(1);
  other.close(false);
  await until(() => expect(values.active).toBe(0));
  expect([ends, second.ends]).toEqual([[], []]);
  streams.end();
});

it.each([
  ['distinct', distinct],
  ['single', single],
])('graphql-sse, %s connections: what goes wrong', async (_, open) => {
  const values = source();
  const good = await serveSse(values);
  const invalid = recorder<Record<string, unknown>>();
  open(good.url, null, () => {}).start({ subscription: 'subscription { nothing }', variables: {} }, invalid.sink);
  await until(() => expect(invalid.ends.map((it) => it.kind)).toEqual(['fatal']));

  const ended = recorder<Record<string, unknown>>();
  open(good.url, null, () => {}).start(operation, ended.sink);
  await until(() => expect(ended.data).toHaveLength(1));
  values.end();
  await until(() => expect(ended.ends.map((it) => it.kind)).toEqual(['network']));

  const locked = await serveSse(source(), () => false);
  const refused = recorder<Record<string, unknown>>();
  open(locked.url, 'bad', () => {}).start(operation, refused.sink);
  await until(() => expect(refused.ends.map((it) => it.kind)).toEqual(['refused']));

  const gone = recorder<Record<string, unknown>>();
  open('http://127.0.0.1:1/graphql', null, () => {}).start(operation, gone.sink);
  await until(() => expect(gone.ends.map((it) => it.kind)).toEqual(['network']));
});

it('polls by GET with the tag of before', async () => {
  const asked: (string | undefined)[] = [];
  const { url } = await serve((request, response) => {
    asked.push(request.headers['if-none-match']);
    const query = new URL(request.url ?? '', 'http://x').searchParams;
    expect([query.get('query'), query.get('variables')]).toEqual([operation.query, '{"pipeline":"news","all":false}']);
    if (request.headers['if-none-match'] === '"a"') response.writeHead(304).end();
    else
      response
        .writeHead(200, { etag: '"a"', 'content-type': 'application/json' })
        .end(JSON.stringify({ data: { pipelineStatus: status() } }));
  });
  const poll = polling(url, operation);
  expect(await poll('secret', signal)).toEqual(status());
  expect(await poll('secret', signal)).toBeNull();
  expect(asked).toEqual([undefined, '"a"']);
});

it('an answer that was wrong is not taken for the value of before when it comes again', async () => {
  const { url } = await serve((request, response) => {
    if (request.headers['if-none-match']) response.writeHead(304).end();
    else {
      response.writeHead(200, { etag: '"e"', 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ data: null, errors: [{ message: 'none', extensions: { code: 'PIPELINE_NOT_FOUND' } }] }),
      );
    }
  });
  const poll = polling(url, operation);
  for (let polls = 0; polls < 2; polls += 1) {
    await expect(poll(null, signal)).rejects.toMatchObject({ problem: { kind: 'missing' } });
  }
});

it.each([
  [200, { errors: [{ message: 'no', extensions: { code: 'PIPELINE_NOT_FOUND' } }] }, 'missing'],
  [400, { errors: [{ message: 'no' }] }, 'fatal'],
  [200, { errors: [{ message: 'no', extensions: { code: 'INTERNAL' } }] }, 'network'],
  [401, {}, 'refused'],
  [503, '<html>', 'network'],
  [200, '<html>', 'network'],
])('a poll answered %i %j is %s', async (code, body, kind) => {
  const { url } = await serve((_, response) => {
    response.writeHead(code, { 'content-type': typeof body === 'string' ? 'text/html' : 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await expect(polling(url, operation)(null, signal)).rejects.toSatisfy(
    (error: FeedError) => error.problem.kind === kind,
  );
});

it('plain JSON is read as the type that GraphQL gives', () => {
  expect(read(PLAIN)).toEqual(status());
});

it('the plain routes have the pipeline and the listing', () => {
  expect(routes('http://a/b', 'x y', true)).toEqual({
    poll: 'http://a/b/api/v1/monitoring/pipeline-status?pipeline=x%20y&sources=all',
    stream: 'http://a/b/api/v1/monitoring/pipeline-status/stream?pipeline=x%20y&sources=all',
    socket: 'http://a/b/api/v1/ws/monitoring/pipeline-status?pipeline=x%20y&sources=all',
  });
});

it('the plain event stream: status events, comments, alerts beside them', async () => {
  let finish = () => {};
  const { url } = await serve((request, response) => {
    expect(request.headers.authorization).toBe('Bearer secret');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 3000\n\nevent: alert\ndata: {}\n\n: still here\n\nevent: sta');
    response.write(`tus\nid: 100\ndata: ${JSON.stringify(PLAIN)}\n\n`);
    finish = () => response.end();
  });
  const { data, ends, sink } = recorder<Record<string, unknown>>();
  const alive = vi.fn();
  plainStreams('secret', alive).start({ subscription: url, variables: {} }, sink);
  await until(() => expect(data).toEqual([PLAIN]));
  finish();
  await until(() => expect(ends.map((it) => it.kind)).toEqual(['network']));
});

it('a plain poll that is answered 304 takes the later instant', async () => {
  const { url } = await serve((request, response) => {
    if (request.headers['if-none-match'])
      response.writeHead(304, { 'x-status-timestamp': '2026-01-28T15:31:00Z' }).end();
    else response.writeHead(200, { etag: 'W/"a"', 'content-type': 'application/json' }).end(JSON.stringify(PLAIN));
  });
  const poll = plainPolling(url);
  expect(await poll(null, signal)).toEqual(status());
  expect(await poll(null, signal)).toEqual(status({ timestamp: '2026-01-28T15:31:00Z' }));
  const missing = await serve((_, response) => response.writeHead(404).end());
  await expect(plainPolling(missing.url)(null, signal)).rejects.toMatchObject({ problem: { kind: 'missing' } });
});
