// Operations: their messages, how they end, and the reuse of ids.
// Source: PROTOCOL.md of enisdenjo/graphql-ws.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { GraphqlSocket } from './support/graphql-socket.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

test('query sends one next and a complete', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  socket.subscribe('q', STATUS, { pipeline });
  const { data, ...rest } = await socket.takeNext('q');
  assert.match(data.pipelineStatus.revision, /^\d+$/);
  assert.equal(rest.errors, undefined, 'no errors, not even an empty list');
  await socket.takeComplete('q');
  assert.deepEqual(await socket.settle(), []);
});

test('mutation sends one next and a complete', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  socket.subscribe('m', RECORD, run(pipeline));
  const { data } = await socket.takeNext('m');
  await socket.takeComplete('m');
  const [{ revision }] = data.recordSourceRun.revisions;
  const { pipelineStatus } = await server.graphql(STATUS, { pipeline });
  assert.ok(isAtLeast(pipelineStatus, revision));
});

test('execution error of a query is in its next', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  socket.subscribe('q', STATUS, { pipeline: 'nowhere' });
  const { errors } = await socket.takeNext('q');
  assert.equal(errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  await socket.takeComplete('q');
});

test('operationName selects the operation', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  const query = 'query A { a: __typename } query B { b: __typename }';
  socket.subscribe('1', query, null, { operationName: 'B', extensions: null });
  assert.deepEqual((await socket.takeNext('1')).data, { b: 'Query' });
  await socket.takeComplete('1');
});

// Deep with few fields, so that only the depth limit applies.
const DEEP = `{ __schema ${'{ types { fields { type '.repeat(12)}{ name }${' } } }'.repeat(12)} }`;
// Wide and shallow, so that only the cost limit applies.
const WIDE = `{ ${Array.from({ length: 500 }, (_, n) => `a${n}: pipelineStatus { revision timestamp }`).join(' ')} }`;

const REFUSED = {
  'no document': { query: '{' },
  'an empty document': { query: '' },
  'an unknown field': { query: '{ nothing }' },
  'an unknown field of a subscription': { query: 'subscription { nothing }' },
  'a missing selection': { query: 'subscription { pipelineStatusUpdates }' },
  'an unknown operation': { query: 'query A { __typename }', operationName: 'B' },
  'several operations without a name': { query: 'query A { __typename } query B { __typename }' },
  'fragments alone': { query: 'fragment F on Query { __typename }' },
  'a missing variable': { query: UPDATES },
  'a variable of a wrong type': { query: UPDATES, variables: { pipeline: 1 } },
  'a missing variable of a directive': { query: 'query ($with: Boolean!) { __typename @include(if: $with) }' },
  'too much depth': { query: DEEP },
  'too much complexity': { query: WIDE },
};

for (const [what, { query, variables, ...more }] of Object.entries(REFUSED)) {
  test(`${what} sends one error and no further message`, async (t) => {
    const socket = await GraphqlSocket.open(t, server);
    socket.subscribe('1', query, variables, more);
    await socket.takeError('1');
    assert.deepEqual(await socket.settle(), []);
    // The operation has ended, so its id can be reused.
    socket.subscribe('1', '{ __typename }');
    assert.deepEqual((await socket.takeNext('1')).data, { __typename: 'Query' });
  });
}

test('subscription to an unknown pipeline sends an error with a code', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  socket.subscribe('1', UPDATES, { pipeline: 'nowhere' });
  const [error] = await socket.takeError('1');
  assert.equal(error.extensions?.code, 'PIPELINE_NOT_FOUND');
  assert.deepEqual(await socket.settle(), []);
});

test('error of one operation does not affect another', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('good', pipeline);
  socket.subscribe('bad', '{ nothing }');
  await socket.takeError('bad');
  await socket.statusOf('good', await server.report(pipeline));
});

test('subscription sends the status immediately and after every change', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('1', pipeline);
  for (let change = 0; change < 3; change += 1) await socket.statusOf('1', await server.report(pipeline));
});

test('burst of changes ends with the newest status', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  let last = await socket.watch('1', pipeline);
  let newest;
  for (let change = 0; change < 30; change += 1) newest = await server.report(pipeline);
  while (last.revision !== newest) {
    const { pipelineStatusUpdates: status } = (await socket.takeNext('1')).data;
    assert.ok(isAtLeast(status, last.revision), 'revisions never fall');
    last = status;
  }
});

test('subscription without changes sends the status every interval', async (t) => {
  const quick = await Server.startFor(t, { interval: '100ms' });
  const socket = await GraphqlSocket.open(t, quick);
  const query = 'subscription { pipelineStatusUpdates { revision timestamp } }';
  socket.subscribe('1', query);
  const first = (await socket.takeNext('1')).data.pipelineStatusUpdates;
  const second = (await socket.takeNext('1')).data.pipelineStatusUpdates;
  assert.equal(second.revision, first.revision);
  assert.ok(second.timestamp > first.timestamp, `${second.timestamp} after ${first.timestamp}`);
});

test('overview contains every pipeline, also one created later', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  socket.subscribe('1', 'subscription { pipelinesUpdates { key revision } }');
  const { data } = await socket.takeNext('1');
  assert.ok(data.pipelinesUpdates.some(({ key }) => key === 'default'));
  const pipeline = await server.pipeline();
  await socket.socket.jsonUntil('the new one', ({ payload }) =>
    payload.data.pipelinesUpdates.some(({ key }) => key === pipeline),
  );
});

test('many subscriptions share a socket', async (t) => {
  const pipelines = await Promise.all(Array.from({ length: 5 }, () => server.pipeline()));
  const socket = await GraphqlSocket.open(t, server);
  const owed = new Map();
  for (let number = 0; number < 50; number += 1) {
    const pipeline = pipelines[number % pipelines.length];
    socket.subscribe(`s${number}`, UPDATES, { pipeline });
    owed.set(`s${number}`, pipeline);
  }
  const revisions = new Map();
  for (const pipeline of pipelines) revisions.set(pipeline, await server.report(pipeline));
  while (owed.size > 0) {
    const { id, type, payload } = await socket.take(`the newest for ${[...owed.keys()]}`);
    assert.equal(type, 'next');
    const pipeline = pipelines[Number(id.slice(1)) % pipelines.length];
    if (isAtLeast(payload.data.pipelineStatusUpdates, revisions.get(pipeline))) owed.delete(id);
  }
});

test('completed subscription sends no next and no complete', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('ended', pipeline);
  socket.complete('ended');
  assert.deepEqual(await socket.settle(), []);
  await socket.watch('going on', pipeline);
  const revision = await server.report(pipeline);
  for (;;) {
    const status = (await socket.takeNext('going on')).data.pipelineStatusUpdates;
    if (isAtLeast(status, revision)) break;
  }
  assert.deepEqual(await socket.settle(), []);
});

test('completed id can be reused immediately', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('1', pipeline);
  socket.complete('1');
  // A late complete for the first operation would end this one.
  socket.subscribe('1', '{ __typename }');
  assert.deepEqual((await socket.takeNext('1')).data, { __typename: 'Query' });
  await socket.takeComplete('1');
});

test('completed id can be reused repeatedly', async (t) => {
  const pipelines = [await server.pipeline(), await server.pipeline()];
  const socket = await GraphqlSocket.open(t, server);
  for (let round = 0; round < 10; round += 1) {
    await socket.watch('1', pipelines[round % 2]);
    socket.complete('1');
  }
  await socket.watch('1', pipelines[0]);
  await socket.statusOf('1', await server.report(pipelines[0]));
});

test('id of a finished operation can be reused', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  for (let round = 0; round < 3; round += 1) {
    socket.subscribe('1', '{ __typename }');
    await socket.takeNext('1');
    await socket.takeComplete('1');
  }
});

test('complete for an unknown or finished id is ignored', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('1', pipeline);
  socket.subscribe('q', '{ __typename }');
  await socket.takeNext('q');
  await socket.takeComplete('q');
  for (const id of ['never', 'q', 'q']) socket.complete(id);
  assert.deepEqual(await socket.settle(), []);
  await socket.statusOf('1', await server.report(pipeline));
});

test('removing a pipeline completes only its subscriptions', async (t) => {
  const [removed, kept] = [await server.pipeline(), await server.pipeline()];
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('kept', kept);
  await socket.watch('removed', removed);
  await server.removePipeline(removed);
  const isEnd = ({ id, type }) => id === 'removed' && type !== 'next';
  assert.deepEqual(await socket.socket.jsonUntil('the end', isEnd), { id: 'removed', type: 'complete' });
  await socket.statusOf('kept', await server.report(kept));
  await server.report(removed);
  await socket.watch('removed', removed);
});

test('shutdown closes every socket with 1012', async (t) => {
  const stopping = await Server.startFor(t);
  const watching = await GraphqlSocket.open(t, stopping);
  await watching.watch('1', 'default');
  const idle = await GraphqlSocket.open(t, stopping);
  const connected = await GraphqlSocket.connect(t, stopping);
  stopping.beginStop();
  for (const socket of [watching, idle, connected]) await socket.assertClosed(1012);
  await stopping.stop();
});
