// Apollo Client 4 with HttpLink, GraphQLWsLink, and a graphql-sse link.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { BatchHttpLink } from '@apollo/client/link/batch-http';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode, print } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { Observable } from 'rxjs';
import WebSocket from 'ws';

import { Mailbox } from './support/mailbox.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';
import { within } from './support/within.js';

// GraphQLWsLink uses the global WebSocket when an operation fails; Node.js has it from version 22 on.
globalThis.WebSocket ??= WebSocket;

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

/** Subscriptions over graphql-ws. */
function overWebSocket(t) {
  const client = createWsClient({ url: server.socketUrl('/graphql'), webSocketImpl: WebSocket, retryAttempts: 0 });
  t.after(() => client.dispose());
  return new GraphQLWsLink(client);
}

/** Subscriptions over graphql-sse. */
const overEvents = (singleConnection) => (t) => {
  const client = createSseClient({ url: `${server.url}/graphql`, singleConnection, retryAttempts: 0 });
  t.after(() => client.dispose());
  return new ApolloLink(
    ({ query, variables, operationName }) =>
      new Observable((sink) => client.subscribe({ query: print(query), variables, operationName }, sink)),
  );
};

function apollo(t, subscriptions) {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    subscriptions(t),
    new HttpLink({ uri: `${server.url}/graphql` }),
  );
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  t.after(() => client.stop());
  return client;
}

/** The results of a subscription; the sequence ends with it. */
function subscribe(t, client, variables) {
  const results = new Mailbox();
  const subscription = client.subscribe({ query: gql(UPDATES), variables }).subscribe({
    next: (result) => results.put(result),
    error: (error) => results.end(error),
    complete: () => results.end('complete'),
  });
  t.after(() => subscription.unsubscribe());
  return results;
}

test('refetched query returns the change', async (t) => {
  const pipeline = await server.pipeline();
  const client = apollo(t, overWebSocket);
  const query = { query: gql(STATUS), variables: { pipeline }, fetchPolicy: 'network-only' };
  assert.match((await within(client.query(query), 'a status')).data.pipelineStatus.revision, /^\d+$/);
  const revision = await server.report(pipeline);
  assert.ok(isAtLeast((await within(client.query(query), 'the change')).data.pipelineStatus, revision));
});

test('queries of one batch have their own results', async (t) => {
  const pipeline = await server.pipeline();
  let requests = 0;
  const counted = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  const link = new BatchHttpLink({ uri: `${server.url}/graphql`, batchInterval: 50, fetch: counted });
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  t.after(() => client.stop());
  const query = (name) => client.query({ query: gql(STATUS), variables: { pipeline: name } });
  const [found, missing] = await within(Promise.allSettled([query(pipeline), query('nowhere')]), 'the results');
  assert.match(found.value.data.pipelineStatus.revision, /^\d+$/);
  assert.ok(CombinedGraphQLErrors.is(missing.reason), missing.reason);
  assert.equal(missing.reason.errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  assert.equal(requests, 1);
});

test('polled query returns the change', async (t) => {
  const pipeline = await server.pipeline();
  const client = apollo(t, overWebSocket);
  const results = new Mailbox();
  const watched = client.watchQuery({ query: gql(STATUS), variables: { pipeline }, pollInterval: 50 });
  const subscription = watched.subscribe((result) => result.data && results.put(result.data.pipelineStatus));
  t.after(() => subscription.unsubscribe());
  await results.take('a status');
  const revision = await server.report(pipeline);
  await results.takeUntil('the change', (status) => isAtLeast(status, revision));
});

test('mutation succeeds', async (t) => {
  const pipeline = await server.pipeline();
  const mutation = { mutation: gql(RECORD), variables: run(pipeline) };
  const { data } = await within(apollo(t, overWebSocket).mutate(mutation), 'an answer');
  assert.deepEqual(
    data.recordSourceRun.results.map(({ status }) => status),
    ['STORED'],
  );
});

test('query error has a code', async (t) => {
  const query = { query: gql(STATUS), variables: { pipeline: 'nowhere' } };
  await assert.rejects(within(apollo(t, overWebSocket).query(query), 'an error'), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), error);
    assert.equal(error.errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
    return true;
  });
});

for (const [way, link] of Object.entries({
  'graphql-ws': overWebSocket,
  'graphql-sse, distinct connections': overEvents(false),
  'graphql-sse, single connection': overEvents(true),
  'multipart, HttpLink alone': () => new HttpLink({ uri: `${server.url}/graphql` }),
})) {
  test(`subscription receives the changes of its pipeline (${way})`, async (t) => {
    const pipeline = await server.pipeline();
    const results = subscribe(t, apollo(t, link), { pipeline });
    const first = await results.take('the first status');
    assert.equal(first.error, undefined);
    assert.match(first.data.pipelineStatusUpdates.revision, /^\d+$/);
    const revision = await server.report(pipeline);
    await results.takeUntil('the change', ({ data }) => isAtLeast(data.pipelineStatusUpdates, revision));
    await server.removePipeline(pipeline);
    await results.takeAll('the end');
  });

  test(`subscription error has a code (${way})`, async (t) => {
    const results = subscribe(t, apollo(t, link), { pipeline: 'nowhere' });
    const { error } = await results.take('the error');
    assert.ok(CombinedGraphQLErrors.is(error), error);
    assert.equal(error.errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  });
}
