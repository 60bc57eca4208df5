// graphql-sse, single connection mode: one reserved stream, many operations.
// Source: PROTOCOL.md of enisdenjo/graphql-sse; status codes it does not specify are those of its reference handler.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Events } from './support/events.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';
import { eventually, within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const HEADER = 'x-graphql-event-stream-token';

function send(method, { token, search = '', headers, body } = {}) {
  const identity = token ? { [HEADER]: token } : {};
  const request = fetch(`${server.url}/graphql${search}`, { method, body, headers: { ...identity, ...headers } });
  return within(request, `an answer to ${method}`);
}

async function reserve() {
  const answer = await send('PUT');
  assert.equal(answer.status, 201, (await answer.clone().text()).slice(0, 300));
  return answer.text();
}

/** Opens the stream of a reservation. */
function connect(t, token) {
  return Events.open(t, `${server.url}/graphql`, { headers: { [HEADER]: token } });
}

/** Starts an operation, whose results arrive on the stream; `operationId` is optional. */
function execute(token, operationId, query, variables, headers) {
  const extensions = operationId === undefined ? undefined : { operationId };
  return send('POST', {
    token,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables, extensions }),
  });
}

async function accepted(answer) {
  const { status } = await answer;
  assert.equal(status, 202);
}

function stop(token, operationId) {
  return send('DELETE', { token, search: `?operationId=${operationId}` });
}

/** Asserts that the next event is `next` of this operation and returns its result. */
async function takeNext(stream, id) {
  const { event, data } = await stream.take(`next of ${id}`);
  const message = JSON.parse(data);
  assert.deepEqual([event, message.id], ['next', id], data);
  return message.payload;
}

async function takeComplete(stream, id) {
  const { event, data } = await stream.take(`complete of ${id}`);
  assert.deepEqual({ event, data: JSON.parse(data) }, { event: 'complete', data: { id } });
}

async function takeStatus(stream, id, revision) {
  const isIt = ({ event, data }) => {
    const message = JSON.parse(data);
    return event === 'next' && message.id === id && isAtLeast(message.payload.data.pipelineStatusUpdates, revision);
  };
  await stream.events.takeUntil(`revision ${revision} for ${id}`, isIt);
}

test('PUT reserves a stream and returns its token', async () => {
  const answer = await send('PUT');
  assert.equal(answer.status, 201);
  assert.match(answer.headers.get('content-type'), /^text\/plain(;|$)/);
  const token = await answer.text();
  // It is sent in headers and URLs, and must be hard to guess.
  assert.match(token, /^[A-Za-z0-9._~-]{20,}$/);
  assert.notEqual(await reserve(), token);
});

test('token is accepted in the header and in the URL', async (t) => {
  const inHeader = await connect(t, await reserve());
  const inUrl = await Events.open(t, `${server.url}/graphql?token=${await reserve()}`);
  for (const { response } of [inHeader, inUrl]) {
    assert.equal(response.headers.get('x-accel-buffering'), 'no');
    assert.match(response.headers.get('cache-control'), /no-(store|cache)/);
  }
});

test('second stream of a reservation returns 409', async (t) => {
  const token = await reserve();
  await connect(t, token);
  const answer = await send('GET', { token, headers: { accept: 'text/event-stream' } });
  assert.equal(answer.status, 409);
});

test('results arrive on the stream with their operation id', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, 'q', STATUS, { pipeline }));
  assert.match((await takeNext(stream, 'q')).data.pipelineStatus.revision, /^\d+$/);
  await takeComplete(stream, 'q');
  await accepted(execute(token, 'm', RECORD, run(pipeline)));
  assert.deepEqual((await takeNext(stream, 'm')).data.recordSourceRun.results, [{ status: 'STORED' }]);
  await takeComplete(stream, 'm');
});

test('subscriptions share the stream', async (t) => {
  const pipelines = [await server.pipeline(), await server.pipeline()];
  const token = await reserve();
  const stream = await connect(t, token);
  for (const pipeline of pipelines) {
    await accepted(execute(token, pipeline, UPDATES, { pipeline }));
    await takeNext(stream, pipeline);
  }
  for (const pipeline of pipelines) await takeStatus(stream, pipeline, await server.report(pipeline));
});

test('results of an operation started before the stream are queued', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  await accepted(execute(token, 's', UPDATES, { pipeline }));
  await accepted(execute(token, 'q', '{ __typename }'));
  const stream = await connect(t, token);
  const owed = new Set(['next s', 'next q', 'complete q']);
  while (owed.size > 0) {
    const { event, data } = await stream.take([...owed].join());
    owed.delete(`${event} ${JSON.parse(data).id}`);
  }
});

test('token of an operation is accepted in the URL', async (t) => {
  const token = await reserve();
  const stream = await connect(t, token);
  const body = JSON.stringify({ query: '{ __typename }', extensions: { operationId: '1' } });
  const headers = { 'content-type': 'application/json' };
  await accepted(send('POST', { search: `?token=${token}`, headers, body }));
  await takeNext(stream, '1');
  await takeComplete(stream, '1');
  assert.equal((await send('DELETE', { search: `?token=${token}&operationId=1` })).status, 200);
});

test('DELETE ends an operation and its id can be reused', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, 'ended', UPDATES, { pipeline }));
  await takeNext(stream, 'ended');
  assert.equal((await stop(token, 'ended')).status, 200);
  await accepted(execute(token, 'other', UPDATES, { pipeline }));
  const revision = await server.report(pipeline);
  for (;;) {
    const { event, data } = await stream.take('the change');
    const { id, payload } = JSON.parse(data);
    // The protocol does not specify whether DELETE sends a complete event.
    assert.ok(id === 'other' || event === 'complete', data);
    if (id === 'other' && isAtLeast(payload.data.pipelineStatusUpdates, revision)) break;
  }
  await accepted(execute(token, 'ended', '{ __typename }'));
  await takeNext(stream, 'ended');
  await takeComplete(stream, 'ended');
});

test('removing a pipeline completes its operations and leaves the stream open', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, 's', UPDATES, { pipeline }));
  await takeNext(stream, 's');
  await server.removePipeline(pipeline);
  await takeComplete(stream, 's');
  await accepted(execute(token, 's', '{ __typename }'));
  await takeNext(stream, 's');
});

test('operation without an id returns 400', async (t) => {
  const token = await reserve();
  await connect(t, token);
  assert.equal((await execute(token, undefined, '{ __typename }')).status, 400);
  assert.equal((await execute(token, '', '{ __typename }')).status, 400);
});

test('operation with an id in use returns 409', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, '1', UPDATES, { pipeline }));
  await takeNext(stream, '1');
  assert.equal((await execute(token, '1', '{ __typename }')).status, 409);
  // The first operation continues.
  await takeStatus(stream, '1', await server.report(pipeline));
});

test('two reservations can use the same ids', async (t) => {
  const pipeline = await server.pipeline();
  const tokens = [await reserve(), await reserve()];
  const streams = await Promise.all(tokens.map((token) => connect(t, token)));
  for (const [index, token] of tokens.entries()) {
    await accepted(execute(token, '1', UPDATES, { pipeline }));
    await takeNext(streams[index], '1');
  }
  await stop(tokens[0], '1');
  await takeStatus(streams[1], '1', await server.report(pipeline));
});

test('invalid operation is answered as in GraphQL over HTTP, and its id can be reused', async (t) => {
  const token = await reserve();
  const stream = await connect(t, token);
  const accept = 'application/graphql-response+json';
  for (const query of ['{', '{ nothing }', 'subscription { nothing }']) {
    const answer = await execute(token, '1', query, undefined, { accept });
    assert.equal(answer.status, 400, query);
    assert.equal(typeof (await answer.json()).errors[0].message, 'string');
  }
  await accepted(execute(token, '1', '{ __typename }'));
  await takeNext(stream, '1');
});

test('subscription to an unknown pipeline receives an error', async (t) => {
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, '1', UPDATES, { pipeline: 'nowhere' }));
  assert.equal((await takeNext(stream, '1')).errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  await takeComplete(stream, '1');
});

test('DELETE without an operation id returns 400', async (t) => {
  const token = await reserve();
  await connect(t, token);
  assert.equal((await send('DELETE', { token })).status, 400);
});

test('DELETE of an unknown operation succeeds', async (t) => {
  const token = await reserve();
  await connect(t, token);
  // The operation may have ended before the client sent DELETE.
  assert.equal((await stop(token, 'never')).status, 200);
});

test('unknown token is refused', async () => {
  const token = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
  assert.equal((await execute(token, '1', '{ __typename }')).status, 404);
  assert.equal((await stop(token, '1')).status, 404);
  const stream = await send('GET', { token, headers: { accept: 'text/event-stream' } });
  assert.ok([400, 404].includes(stream.status), `${stream.status}`);
});

test('token expires with its stream', async (t) => {
  const pipeline = await server.pipeline();
  const token = await reserve();
  const stream = await connect(t, token);
  await accepted(execute(token, '1', UPDATES, { pipeline }));
  await takeNext(stream, '1');
  stream.close();
  await eventually(
    'the end of the token',
    () => stop(token, 'never'),
    ({ status }) => status === 404,
  );
});

test('server shutdown ends the stream', async (t) => {
  const stopping = await Server.startFor(t);
  const reserved = await within(fetch(`${stopping.url}/graphql`, { method: 'PUT' }), 'a reservation');
  assert.equal(reserved.status, 201);
  const stream = await Events.open(t, `${stopping.url}/graphql?token=${await reserved.text()}`);
  // An unused reservation must not delay the shutdown.
  await within(fetch(`${stopping.url}/graphql`, { method: 'PUT' }), 'a reservation');
  stopping.beginStop();
  assert.deepEqual(await stream.events.takeAll('the stream'), []);
  await stopping.stop();
});
