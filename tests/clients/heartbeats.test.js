// Heartbeats, which keep idle connections open through proxies. The tests wait for the server's intervals, in parallel, so
// this file takes as long as the longest interval.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Events } from './support/events.js';
import { PROTOCOL } from './support/graphql-socket.js';
import { PING, PONG, RawSocket } from './support/raw-socket.js';
import { UPDATES } from './support/operations.js';
import { Server } from './support/server.js';
import { within } from './support/within.js';

const COMMENT_AFTER = 15_000;
const PING_AFTER = 25_000;
/** Tolerance for timers on a busy machine. */
const GRACE = 30_000;

describe('heartbeats', { concurrency: true }, () => {
  let server;
  before(async () => (server = await Server.start()));
  after(() => server.stop());

  test('event stream sends a comment after 15 s without an event', async (t) => {
    const stream = await Events.open(t, `${server.url}/api/v1/monitoring/pipeline-status/stream`);
    await stream.take('the first status');
    await stream.comments.take('a comment', COMMENT_AFTER + GRACE);
  });

  test('graphql-sse stream of one operation sends a comment', async (t) => {
    const url = new URL('/graphql', server.url);
    url.searchParams.set('query', UPDATES);
    url.searchParams.set('variables', '{"pipeline":"default"}');
    const stream = await Events.open(t, url);
    await stream.take('the first status');
    await stream.comments.take('a comment', COMMENT_AFTER + GRACE);
  });

  test('graphql-sse stream of many operations sends a comment', async (t) => {
    const reserved = await fetch(`${server.url}/graphql`, { method: 'PUT' });
    assert.equal(reserved.status, 201);
    const stream = await Events.open(t, `${server.url}/graphql?token=${await reserved.text()}`);
    await stream.comments.take('a comment', COMMENT_AFTER + GRACE);
  });

  test('multipart response sends an empty part', async (t) => {
    const abort = new AbortController();
    t.after(() => abort.abort());
    const request = fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'multipart/mixed;subscriptionSpec=1.0' },
      body: JSON.stringify({ query: UPDATES, variables: { pipeline: 'default' } }),
      signal: abort.signal,
    });
    const response = await within(request, 'a response');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (end) => {
      while (!text.endsWith(end)) {
        const { value, done } = await reader.read();
        assert.ok(!done, `the response stays open: ${text.slice(-300)}`);
        text += value;
      }
    };
    await within(until('}}}}\r\n--graphql'), 'the first status');
    await within(until('\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql'), 'a part', COMMENT_AFTER + GRACE);
  });

  for (const [kind, path, protocol] of [
    ['graphql', '/graphql', PROTOCOL],
    ['plain', '/api/v1/ws/monitoring/pipeline-status'],
  ]) {
    test(`WebSocket ping is sent after 25 s without a message (${kind})`, async (t) => {
      const socket = await RawSocket.open(t, server, path, protocol);
      if (protocol) socket.sendText('{"type":"connection_init"}');
      await socket.text('the first message');
      const { opcode, payload } = await socket.frames.take('a ping', PING_AFTER + GRACE);
      assert.equal(opcode, PING);
      socket.send(PONG, payload);
      socket.send(PING, 'still there');
      assert.equal((await socket.frames.take('the pong')).payload.toString(), 'still there');
    });
  }
});
