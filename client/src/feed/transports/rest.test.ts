import { expect, it, vi } from 'vitest';
import { recordingSink, until } from '../../../test/recording-sink';
import { serve } from '../../../test/reference-servers';
import { REST_STATUS, status } from '../../../test/status-fixture';
import { restEventStreams, restPolling, restRoutes, statusFromJson } from './rest';

const { signal } = new AbortController();

it('REST JSON is converted to the GraphQL type', () => {
  expect(statusFromJson(REST_STATUS)).toEqual(status());
});

it('the routes contain the pipeline and the source list', () => {
  expect(restRoutes('http://a/b', 'x y', true)).toEqual({
    poll: 'http://a/b/api/v1/monitoring/pipeline-status?pipeline=x%20y&sources=all',
    stream: 'http://a/b/api/v1/monitoring/pipeline-status/stream?pipeline=x%20y&sources=all',
    socket: 'http://a/b/api/v1/ws/monitoring/pipeline-status?pipeline=x%20y&sources=all',
  });
});

it('the event stream delivers status events and skips alerts and comments', async () => {
  let finish = () => {};
  const { url } = await serve((request, response) => {
    expect(request.headers.authorization).toBe('Bearer secret');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 3000\n\nevent: alert\ndata: {}\n\n: still here\n\nevent: sta');
    response.write(`tus\nid: 100\ndata: ${JSON.stringify(REST_STATUS)}\n\n`);
    finish = () => response.end();
  });
  const { data, problems, sink } = recordingSink<Record<string, unknown>>();
  const onActivity = vi.fn();
  restEventStreams('secret', onActivity).subscribe({ query: url, variables: {} }, sink);
  await until(() => expect(data).toEqual([REST_STATUS]));
  finish();
  await until(() => expect(problems.map((it) => it.kind)).toEqual(['network']));
});

it('a 304 updates the timestamp of the last status', async () => {
  const { url } = await serve((request, response) => {
    if (request.headers['if-none-match'])
      response.writeHead(304, { 'x-status-timestamp': '2026-01-28T15:31:00Z' }).end();
    else
      response.writeHead(200, { etag: 'W/"a"', 'content-type': 'application/json' }).end(JSON.stringify(REST_STATUS));
  });
  const poll = restPolling(url);
  expect(await poll(null, signal, null)).toEqual(status());
  expect(await poll(null, signal, null)).toEqual(status({ timestamp: '2026-01-28T15:31:00Z' }));
  const missing = await serve((_, response) => response.writeHead(404).end());
  await expect(restPolling(missing.url)(null, signal, null)).rejects.toMatchObject({ problem: { kind: 'notFound' } });
});
