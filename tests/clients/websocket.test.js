// The plain WebSocket: the status as text; incoming messages are ignored.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Server } from './support/server.js';
import { Socket } from './support/socket.js';
import { within } from './support/within.js';

const PATH = '/api/v1/ws/monitoring/pipeline-status';
const LIMIT = 64 * 1024;

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const url = (pipeline, more = '') => server.socketUrl(`${PATH}?pipeline=${pipeline}${more}`);
const has = (revision) => (status) => status.revision === revision;

test('first message is the status as top-level object', async (t) => {
  const pipeline = await server.pipeline();
  const revision = await server.report(pipeline);
  const socket = await Socket.open(t, url(pipeline));
  const status = await socket.json('the first status');
  assert.equal(status.pipeline, pipeline);
  assert.equal(status.revision, revision);
  assert.match(status.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  const { scraping_health: health, data_quality: quality } = status;
  for (const name of ['sources_processed', 'total_sources', 'articles_collected', 'events_extracted']) {
    assert.equal(typeof health[name], 'number', name);
  }
  for (const name of ['geocoding_success_rate', 'validation_pass_rate']) {
    assert.equal(typeof quality[name], 'number', name);
  }
  assert.ok(Array.isArray(status.anomalies) && Array.isArray(status.alerts));
  assert.match(status.overall_status, /^(pending|healthy|warning|error)$/);
});

test('default pipeline is used without a parameter', async (t) => {
  const socket = await Socket.open(t, server.socketUrl(PATH));
  assert.equal((await socket.json('the first status')).pipeline, 'default');
});

test('status is sent after every change', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await Socket.open(t, url(pipeline));
  await socket.json('the first status');
  for (let change = 0; change < 3; change += 1) {
    await socket.jsonUntil('the change', has(await server.report(pipeline)));
  }
});

test('status is sent every interval without a change', async (t) => {
  const quick = await Server.startFor(t, { interval: '100ms' });
  const socket = await Socket.open(t, quick.socketUrl(PATH));
  const first = await socket.json('the first status');
  const second = await socket.json('the second status');
  assert.equal(second.revision, first.revision);
  assert.ok(second.timestamp > first.timestamp);
});

test('incoming messages are ignored', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await Socket.open(t, url(pipeline));
  await socket.json('the first status');
  for (const text of ['', 'hello', '{', '{"type":"ping"}', '{"type":"connection_init"}', 'x'.repeat(LIMIT)]) {
    socket.send(text);
  }
  for (const bytes of [0, 3, LIMIT]) socket.send(Buffer.alloc(bytes, 255), { binary: true });
  socket.send('in ', { fin: false });
  socket.send('pieces', { fin: true });
  // The pong shows that all messages were read; no message was sent in between.
  assert.equal(await socket.ping('read?'), 'read?');
  assert.deepEqual(socket.messages.drain(), []);
  await socket.jsonUntil('the change', has(await server.report(pipeline)));
});

for (const [what, data] of Object.entries({ text: 'x'.repeat(LIMIT + 1), binary: Buffer.alloc(LIMIT + 1) })) {
  test(`${what} message over 64 KiB closes with 1009 without affecting other connections`, async (t) => {
    const pipeline = await server.pipeline();
    const [socket, other] = [await Socket.open(t, url(pipeline)), await Socket.open(t, url(pipeline))];
    await Promise.all([socket, other].map((each) => each.json('the first status')));
    socket.send(data);
    assert.equal((await socket.closed()).code, 1009);
    await other.jsonUntil('the change', has(await server.report(pipeline)));
  });
}

for (const pipeline of ['nowhere', 'No%20Key', '']) {
  test(`handshake for the unknown pipeline "${pipeline}" returns 404`, async (t) => {
    const { refusal } = await Socket.handshake(t, url(pipeline));
    assert.equal(refusal?.statusCode, 404);
  });
}

test('listed sources can be selected', async (t) => {
  const pipeline = await server.pipeline();
  for (const [more, listed] of [
    ['', 1],
    ['&sources=all', 1],
    ['&sources=none', 0],
  ]) {
    const socket = await Socket.open(t, url(pipeline, more));
    assert.equal((await socket.json('the first status')).scraping_health.sources.length, listed, more);
  }
});

test('request without an upgrade is refused with an explanation', async () => {
  const answer = await within(fetch(server.url + PATH), 'an answer');
  assert.ok([400, 426].includes(answer.status), `${answer.status}`);
});

test('close is answered with the same code', async (t) => {
  const socket = await Socket.open(t, url('default'));
  await socket.json('the first status');
  socket.close(1000, 'bye');
  assert.equal((await socket.closed()).code, 1000);
});

test('removing the pipeline closes the socket', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await Socket.open(t, url(pipeline));
  await socket.json('the first status');
  await server.removePipeline(pipeline);
  assert.notEqual((await socket.closed()).code, 1006, 'with a close frame');
});

test('shutdown closes the socket with 1012', async (t) => {
  const stopping = await Server.startFor(t);
  const socket = await Socket.open(t, stopping.socketUrl(PATH));
  await socket.json('the first status');
  stopping.beginStop();
  assert.equal((await socket.closed()).code, 1012);
  await stopping.stop();
});
