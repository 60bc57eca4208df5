// A server with a token: how each client library sends it, and what the client sees without one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { EventSource } from 'eventsource';
import { OperationTypeNode } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';

import { Mailbox } from './support/mailbox.js';
import { STATUS, UPDATES } from './support/operations.js';
import { Server } from './support/server.js';
import { Socket } from './support/socket.js';
import { within } from './support/within.js';

// GraphQLWsLink uses the global WebSocket when an operation fails; Node.js has it from version 22 on.
globalThis.WebSocket ??= WebSocket;

const TOKEN = 'a-token+of/this.test=';
const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` };
const QUERY = `access_token=${encodeURIComponent(TOKEN)}`;
const PLAIN = '/api/v1/ws/monitoring/pipeline-status';
const STREAM = '/api/v1/monitoring/pipeline-status/stream';

let server;
before(async () => (server = await Server.start({ TOKENS: `another-token-of-the-test,${TOKEN}` })));
after(() => server.stop());

/** Subscribes and returns the results; the sequence ends with the operation. */
function subscribe(client) {
  const results = new Mailbox();
  client.subscribe(
    { query: UPDATES, variables: { pipeline: 'default' } },
    { next: (result) => results.put(result), error: (error) => results.put({ error }), complete: () => results.end('') },
  );
  return results;
}

async function assertStatus(results) {
  const { error, data } = await results.take('a status');
  assert.equal(error, undefined);
  assert.match(data.pipelineStatusUpdates.revision, /^\d+$/);
}

/** A graphql-ws client, disposed at the end of the test `t`. */
function wsClient(t, options, path = '/graphql') {
  const url = server.socketUrl(path);
  const client = createWsClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, ...options });
  t.after(() => void client.dispose());
  return client;
}

class WithHeader extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: AUTHORIZATION });
  }
}

for (const [way, options, path] of [
  ['connectionParams.authorization', { connectionParams: AUTHORIZATION }],
  ['connectionParams.Authorization', { connectionParams: async () => ({ Authorization: AUTHORIZATION.authorization }) }],
  ['connectionParams.token', { connectionParams: { token: TOKEN } }],
  ['the query', {}, `/graphql?${QUERY}`],
  ['a header of the handshake', { webSocketImpl: WithHeader }],
]) {
  test(`graphql-ws sends the token: ${way}`, async (t) => assertStatus(subscribe(wsClient(t, options, path))));
}

for (const [way, connectionParams] of [
  ['without credentials', undefined],
  ['with a wrong token', { token: 'wrong' }],
]) {
  test(`graphql-ws ${way} is forbidden`, async (t) => {
    const { error } = await subscribe(wsClient(t, { connectionParams })).take('the error');
    assert.deepEqual([error.code, error.reason], [4403, 'Forbidden']);
  });
}

test('Apollo Client sends the token over HttpLink and GraphQLWsLink', async (t) => {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(wsClient(t, { connectionParams: AUTHORIZATION })),
    new HttpLink({ uri: `${server.url}/graphql`, headers: AUTHORIZATION }),
  );
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  t.after(() => client.stop());
  const variables = { pipeline: 'default' };
  const { data } = await within(client.query({ query: gql(STATUS), variables }), 'a status');
  assert.match(data.pipelineStatus.revision, /^\d+$/);
  const results = new Mailbox();
  const watching = client.subscribe({ query: gql(UPDATES), variables }).subscribe((result) => results.put(result));
  t.after(() => watching.unsubscribe());
  await assertStatus(results);
});

test('Apollo Client without a token receives 401', async (t) => {
  const link = new HttpLink({ uri: `${server.url}/graphql` });
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  t.after(() => client.stop());
  const query = client.query({ query: gql(STATUS), variables: { pipeline: 'default' } });
  await assert.rejects(within(query, 'an error'), (error) => error.statusCode === 401);
});

for (const singleConnection of [false, true]) {
  const mode = singleConnection ? 'single connection' : 'distinct connections';
  test(`graphql-sse sends the token (${mode})`, async (t) => {
    const open = (headers) => {
      const client = createSseClient({ url: `${server.url}/graphql`, singleConnection, headers, retryAttempts: 0 });
      t.after(() => client.dispose());
      return subscribe(client);
    };
    await assertStatus(open(AUTHORIZATION));
    const { error } = await open({}).take('the error');
    assert.match(error.message, /Unauthorized/);
  });
}

test('EventSource sends the token in its URL', async (t) => {
  const open = (query) => {
    const events = new Mailbox();
    const source = new EventSource(`${server.url}${STREAM}?${query}`);
    t.after(() => source.close());
    for (const kind of ['status', 'error']) source.addEventListener(kind, (event) => events.put(event));
    return { source, events };
  };
  assert.equal((await open(QUERY).events.take('a status')).type, 'status');
  const { source, events } = open('access_token=wrong');
  const { type, code } = await events.take('the error');
  assert.deepEqual({ type, code }, { type: 'error', code: 401 });
  assert.equal(source.readyState, EventSource.CLOSED, 'and it does not come back');
});

test('plain WebSocket sends the token in its URL, and is closed with 4001 without one', async (t) => {
  const socket = await Socket.open(t, server.socketUrl(`${PLAIN}?${QUERY}`));
  assert.equal((await socket.json('a status')).pipeline, 'default');
  for (const query of ['', '?access_token=wrong']) {
    const refused = await Socket.open(t, server.socketUrl(PLAIN + query));
    assert.deepEqual(await refused.closed(), { code: 4001, reason: 'Unauthorized' });
  }
});
