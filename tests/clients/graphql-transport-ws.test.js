// The connection: handshake, initialisation, pings, and messages that close it.
// Source: PROTOCOL.md of enisdenjo/graphql-ws.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { GraphqlSocket, PROTOCOL } from './support/graphql-socket.js';
import { STATUS } from './support/operations.js';
import { RawSocket } from './support/raw-socket.js';
import { Server } from './support/server.js';
import { Socket } from './support/socket.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

for (const offered of [[], ['graphql-ws'], ['GRAPHQL-TRANSPORT-WS'], ['graphql-transport-ws2'], ['a', 'b']]) {
  test(`handshake offering [${offered}] is refused`, async (t) => {
    // A raw socket, since client libraries abort before they receive 4406.
    const lines = ['Sec-WebSocket-Version: 13'];
    if (offered.length > 0) lines.push(`Sec-WebSocket-Protocol: ${offered.join(', ')}`);
    const { head, socket } = await RawSocket.handshake(t, server, '/graphql', lines);
    if (socket) {
      assert.equal(await socket.closeCode(), 4406);
    } else {
      assert.match(head, /^HTTP\/1\.1 400 /);
    }
  });
}

for (const offered of [[PROTOCOL], ['graphql-ws', PROTOCOL], [PROTOCOL, 'graphql-ws'], ['a', 'b', PROTOCOL]]) {
  test(`${PROTOCOL} is selected when [${offered}] is offered`, async (t) => {
    const socket = await Socket.open(t, server.socketUrl('/graphql'), offered);
    assert.equal(socket.protocol, PROTOCOL);
    // Some servers select one name and use the other protocol; only this protocol has a ping message.
    socket.send('{"type":"ping"}');
    assert.deepEqual(await socket.json('the pong'), { type: 'pong' });
  });
}

for (const payload of [undefined, null, {}, { token: 'x', nested: { deep: [1, null] } }]) {
  test(`connection_init with the payload ${JSON.stringify(payload)} is acknowledged`, async (t) => {
    const socket = await GraphqlSocket.connect(t, server);
    socket.send({ type: 'connection_init', payload });
    const acknowledgement = await socket.take('the acknowledgement');
    assert.equal(acknowledgement.type, 'connection_ack');
    assert.equal(typeof (acknowledgement.payload ?? {}), 'object');
    assert.deepEqual(await socket.settle(), []);
  });
}

test('connection without connection_init closes with 4408, despite other messages', async (t) => {
  const silent = await GraphqlSocket.connect(t, server);
  const initialised = await GraphqlSocket.open(t, server);
  const since = Date.now();
  await silent.settle();
  await silent.assertClosed(4408, 'Connection initialisation timeout');
  assert.ok(Date.now() - since > 2_500, 'the wait is 3 s');
  // The second connection is equally old.
  assert.deepEqual(await initialised.settle(), []);
});

test('second connection_init closes with 4429', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  socket.send({ type: 'connection_init' });
  await socket.assertClosed(4429, 'Too many initialisation requests');
});

test('second connection_init before the acknowledgement closes with 4429', async (t) => {
  const socket = await GraphqlSocket.connect(t, server);
  socket.send({ type: 'connection_init' });
  socket.send({ type: 'connection_init' });
  await socket.assertClosed(4429, 'Too many initialisation requests');
});

test('subscribe before the acknowledgement closes with 4401', async (t) => {
  const socket = await GraphqlSocket.connect(t, server);
  socket.subscribe('1', '{ __typename }');
  await socket.assertClosed(4401, 'Unauthorized');
});

test('complete before the acknowledgement is ignored', async (t) => {
  const socket = await GraphqlSocket.connect(t, server);
  socket.complete('1');
  assert.deepEqual(await socket.settle(), []);
});

test('subscribe with an id in use closes with 4409', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('twice', pipeline);
  socket.subscribe('twice', '{ __typename }');
  await socket.assertClosed(4409, 'Subscriber for twice already exists');
});

for (const [what, id] of Object.entries({ long: 'x'.repeat(300), 'of two bytes a letter': 'xß'.repeat(100) })) {
  test(`close reason of 4409 is valid when the id is ${what}`, async (t) => {
    const pipeline = await server.pipeline();
    const socket = await GraphqlSocket.open(t, server);
    await socket.watch(id, pipeline);
    socket.subscribe(id, '{ __typename }');
    await socket.assertClosed(4409);
  });
}

const subscribe = (more) => ({ id: '1', type: 'subscribe', payload: { query: '{ __typename }', ...more } });

const MALFORMED = {
  nothing: '',
  'no JSON': 'hello',
  'half a JSON': '{"type":"ping"',
  'two JSON values': '{"type":"ping"}{"type":"ping"}',
  'JSON nested without end': '['.repeat(30_000),
  'an array': '[]',
  'a string': '"ping"',
  null: 'null',
  'a number': '1',
  'no type': {},
  'a type that is null': { type: null },
  'a type that is a number': { type: 1 },
  'an empty type': { type: '' },
  'an unknown type': { type: 'unknown' },
  'an unknown type of great length': { type: 'ß'.repeat(500) },
  'a type in capitals': { type: 'PING' },
  'a type of the old protocol': { ...subscribe(), type: 'start' },
  'an acknowledgement': { type: 'connection_ack' },
  'a next': { id: '1', type: 'next', payload: {} },
  'an error': { id: '1', type: 'error', payload: [{ message: 'x' }] },
  'a ping with an array': { type: 'ping', payload: [] },
  'a ping with a string': { type: 'ping', payload: 'x' },
  'a pong with an array': { type: 'pong', payload: [] },
  'a pong with a number': { type: 'pong', payload: 0 },
  'a subscribe without id': { ...subscribe(), id: undefined },
  'a subscribe with an empty id': { ...subscribe(), id: '' },
  'a subscribe with an id that is null': { ...subscribe(), id: null },
  'a subscribe with an id that is a number': { ...subscribe(), id: 1 },
  'a subscribe without payload': { ...subscribe(), payload: undefined },
  'a subscribe with a payload that is null': { ...subscribe(), payload: null },
  'a subscribe with a payload that is an array': { ...subscribe(), payload: [] },
  'a subscribe with a payload that is a string': { ...subscribe(), payload: '{ __typename }' },
  'a subscribe without query': subscribe({ query: undefined }),
  'a query that is null': subscribe({ query: null }),
  'a query that is an object': subscribe({ query: {} }),
  'an operationName that is a number': subscribe({ operationName: 1 }),
  'variables that are an array': subscribe({ variables: [] }),
  'variables that are a string': subscribe({ variables: '{}' }),
  'extensions that are an array': subscribe({ extensions: [] }),
  'extensions that are false': subscribe({ extensions: false }),
  'a complete without id': { type: 'complete' },
  'a complete with an empty id': { id: '', type: 'complete' },
  'a complete with an id that is a number': { id: 1, type: 'complete' },
};

for (const [what, message] of Object.entries(MALFORMED)) {
  test(`${what} closes with 4400`, async (t) => {
    const socket = await GraphqlSocket.open(t, server);
    socket.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    await socket.assertClosed(4400);
  });
}

for (const payload of [[], 'x', 0, true]) {
  test(`connection_init with the payload ${JSON.stringify(payload)} closes with 4400`, async (t) => {
    const socket = await GraphqlSocket.connect(t, server);
    socket.send({ type: 'connection_init', payload });
    await socket.assertClosed(4400);
  });
}

for (const data of [Buffer.from([0, 1, 2]), Buffer.from('{"type":"ping"}'), Buffer.alloc(0)]) {
  test(`binary message of ${data.length} bytes closes with 4400`, async (t) => {
    const socket = await GraphqlSocket.open(t, server);
    socket.socket.send(data, { binary: true });
    await socket.assertClosed(4400);
  });
}

for (const state of ['before', 'after']) {
  for (const payload of [undefined, {}, { number: 1, text: 'ß\n"', nested: { list: [1, null, false] } }]) {
    test(`ping ${state} connection_init with the payload ${JSON.stringify(payload)} is answered`, async (t) => {
      const socket = await (state === 'before' ? GraphqlSocket.connect : GraphqlSocket.open)(t, server);
      socket.send({ type: 'ping', payload });
      const pong = payload === undefined ? { type: 'pong' } : { type: 'pong', payload };
      assert.deepEqual(await socket.take('the pong'), pong);
    });
  }

  test(`ping ${state} connection_init with null is answered with null or no payload`, async (t) => {
    const socket = await (state === 'before' ? GraphqlSocket.connect : GraphqlSocket.open)(t, server);
    socket.send({ type: 'ping', payload: null });
    const { type, payload } = await socket.take('the pong');
    assert.deepEqual({ type, payload: payload ?? null }, { type: 'pong', payload: null });
  });

  for (const payload of [undefined, null, { number: 1 }]) {
    test(`pong ${state} connection_init with ${JSON.stringify(payload)} is ignored`, async (t) => {
      const socket = await (state === 'before' ? GraphqlSocket.connect : GraphqlSocket.open)(t, server);
      socket.send({ type: 'pong', payload });
      assert.deepEqual(await socket.settle(), []);
    });
  }
}

test('pings are answered in order, between messages of a subscription', async (t) => {
  const pipeline = await server.pipeline();
  const socket = await GraphqlSocket.open(t, server);
  await socket.watch('1', pipeline);
  for (let number = 0; number < 20; number += 1) socket.send({ type: 'ping', payload: { number } });
  await server.report(pipeline);
  const numbers = [];
  while (numbers.length < 20) {
    const message = await socket.take('a pong');
    if (message.type === 'pong') numbers.push(message.payload.number);
  }
  assert.deepEqual(numbers, [...Array(20).keys()]);
});

test('request without an upgrade is GraphQL over HTTP', async () => {
  const pipeline = await server.pipeline();
  const { pipelineStatus } = await server.graphql(STATUS, { pipeline });
  assert.match(pipelineStatus.revision, /^\d+$/);
});
