import { expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { recordingSink, until } from '../../../test/recording-sink';
import { Publisher, serve, serveSocket } from '../../../test/reference-servers';
import { status } from '../../../test/status-fixture';
import { type PipelineStatus, statusOperation } from '../operation';
import { websocket } from './websocket';

const operation = statusOperation('news', false);

/** A publisher with a first status. */
function publishing() {
  const publisher = new Publisher();
  publisher.publish(status({ revision: '1' }));
  return publisher;
}

it('delivers the status, answers pings and ends the subscription on close', async () => {
  const publisher = publishing();
  const params = vi.fn(() => true);
  const { url } = await serveSocket(publisher, params);
  const { data, problems, sink } = recordingSink<PipelineStatus>();
  const link = websocket(url, operation, WebSocket).open(sink, 'secret', null);
  await until(() => expect(data).toEqual([status({ revision: '1' })]));
  expect(params).toHaveBeenCalledWith({ authorization: 'Bearer secret' });
  publisher.publish(status({ revision: '2' }));
  await until(() => expect(data).toHaveLength(2));
  const before = sink.activities;
  link.ping?.();
  await until(() => expect(sink.activities).toBe(before + 1));
  link.close(false);
  await until(() => expect(publisher.active).toBe(0));
  expect(problems).toEqual([]);
});

it('carries a second subscription, which ends alone or with the link', async () => {
  const publisher = publishing();
  const { url, sockets } = await serveSocket(publisher);
  const [first, second] = [recordingSink<PipelineStatus>(), recordingSink<Record<string, unknown>>()];
  const link = websocket(url, operation, WebSocket).open(first.sink, null, null);
  await until(() => expect(first.data).toHaveLength(1));
  const other = link.subscribe?.({ query: operation.subscription, variables: operation.variables(null) }, second.sink);
  await until(() => expect(second.data).toEqual([{ pipelineStatusUpdates: status({ revision: '1' }) }]));
  expect(sockets.clients.size).toBe(1);
  other?.close(false);
  await until(() => expect(publisher.active).toBe(1));
  publisher.publish(status({ revision: '2' }));
  await until(() => expect(first.data).toHaveLength(2));
  expect(second.data).toHaveLength(1);
  link.subscribe?.({ query: 'subscription { nothing }', variables: {} }, second.sink);
  await until(() => expect(second.problems.map((it) => it.kind)).toEqual(['fatal']));
  expect(first.problems).toEqual([]);
  link.close(false);
  await until(() => expect([publisher.active, sockets.clients.size]).toEqual([0, 0]));
});

it.each([
  [1000, 'network'],
  [1012, 'restart'],
  [1013, 'network'],
  [4400, 'fatal'],
  [4401, 'fatal'],
  [4403, 'unauthorized'],
  [4406, 'fatal'],
])('close code %i is reported once as %s', async (code, kind) => {
  const { url, sockets } = await serveSocket(publishing());
  const { data, problems, sink } = recordingSink<PipelineStatus>();
  websocket(url, operation, WebSocket).open(sink, null, null);
  await until(() => expect(data).toHaveLength(1));
  for (const socket of sockets.clients) socket.close(code, 'because');
  await until(() => expect(problems).toEqual([{ kind, code, message: 'because' }]));
  await until(() => expect(sockets.clients.size).toBe(0));
});

it('a rejected handshake is a network problem and a missing WebSocket is unsupported', async () => {
  const { url } = await serve((_, response) => response.writeHead(503).end());
  const rejected = recordingSink<PipelineStatus>();
  websocket(url, operation, WebSocket).open(rejected.sink, null, null);
  await until(() => expect(rejected.problems.map((it) => it.kind)).toEqual(['network']));
  vi.stubGlobal('WebSocket', undefined);
  const none = recordingSink<PipelineStatus>();
  websocket(url, operation).open(none.sink, null, null);
  vi.unstubAllGlobals();
  await until(() => expect(none.problems.map((it) => it.kind)).toEqual(['unsupported']));
});

it('errors and the end of the operation close the link', async () => {
  const wrong = { ...operation, subscription: 'subscription { nothing }' };
  const publisher = publishing();
  const { url, sockets } = await serveSocket(publisher);
  const { problems, sink } = recordingSink<PipelineStatus>();
  websocket(url, wrong, WebSocket).open(sink, null, null);
  await until(() => expect(problems.map((it) => it.kind)).toEqual(['fatal']));
  const other = recordingSink<PipelineStatus>();
  websocket(url, operation, WebSocket).open(other.sink, null, null);
  await until(() => expect(other.data).toHaveLength(1));
  publisher.end();
  await until(() => expect(other.problems.map((it) => it.kind)).toEqual(['network']));
  await until(() => expect(sockets.clients.size).toBe(0));
});

it('subscribes with the newest revision shown', async () => {
  const publisher = publishing();
  const { url } = await serveSocket(publisher);
  const { data, sink } = recordingSink<PipelineStatus>();
  const link = websocket(url, operation, WebSocket).open(sink, null, status({ revision: '41' }));
  await until(() => expect(data).toHaveLength(1));
  expect(publisher.requests).toEqual([{ pipeline: 'news', sinceRevision: '41' }]);
  link.close(false);
});
