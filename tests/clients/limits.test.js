// The connection limit: excess connections are refused before the upgrade, with Retry-After.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { GraphqlSocket, PROTOCOL } from './support/graphql-socket.js';
import { Server } from './support/server.js';
import { Socket } from './support/socket.js';
import { eventually, within } from './support/within.js';

const PLAIN = '/api/v1/ws/monitoring/pipeline-status';
const STREAM = '/api/v1/monitoring/pipeline-status/stream';

function assertRefused(status, retryAfter) {
  assert.equal(status, 503);
  assert.match(retryAfter ?? 'nothing', /^[1-9]\d*$/, 'Retry-After in seconds');
}

test('excess connection returns 503 on every transport, and a closed connection frees its permit', async (t) => {
  const server = await Server.startFor(t, { MAX_CONNECTIONS: '2' });
  const [first, second] = [await GraphqlSocket.open(t, server), await Socket.open(t, server.socketUrl(PLAIN))];
  await second.json('the first status');

  for (const [path, protocols] of [
    ['/graphql', [PROTOCOL]],
    [PLAIN, []],
  ]) {
    const { refusal } = await Socket.handshake(t, server.socketUrl(path), protocols);
    assertRefused(refusal?.statusCode, refusal?.headers['retry-after']);
  }
  const abort = new AbortController();
  t.after(() => abort.abort());
  const stream = await within(fetch(server.url + STREAM, { signal: abort.signal }), 'an answer');
  assertRefused(stream.status, stream.headers.get('retry-after'));
  // Existing connections are unaffected.
  await first.watch('1', 'default');
  const revision = await server.report('default');
  await second.jsonUntil('the change', (status) => status.revision === revision);

  second.close(1000);
  await eventually(
    'a place',
    () => Socket.handshake(t, server.socketUrl(PLAIN)),
    ({ socket }) => socket,
  );
});

test('refused handshake uses no permit', async (t) => {
  const server = await Server.startFor(t, { MAX_CONNECTIONS: '1' });
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { refusal } = await Socket.handshake(t, server.socketUrl(`${PLAIN}?pipeline=nowhere`));
    assert.equal(refusal?.statusCode, 404);
    const wrong = await Socket.handshake(t, server.socketUrl('/graphql'), ['graphql-ws']);
    assert.equal(wrong.refusal?.statusCode, 400);
  }
  await GraphqlSocket.open(t, server);
});
