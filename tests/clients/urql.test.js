// urql: queries and mutations by fetch; subscriptions by graphql-ws, and by fetch as events.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { Mailbox } from './support/mailbox.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';
import { within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

/** Subscriptions over graphql-ws. */
function overWebSocket(t) {
  const socket = createClient({ url: server.socketUrl('/graphql'), webSocketImpl: WebSocket, retryAttempts: 0 });
  t.after(() => socket.dispose());
  const forward = ({ query = '', variables }) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
  });
  return new Client({
    url: `${server.url}/graphql`,
    preferGetMethod: false,
    exchanges: [subscriptionExchange({ forwardSubscription: forward }), fetchExchange],
  });
}

/** Subscriptions by fetch: graphql-sse, distinct connections. */
function overEvents() {
  return new Client({
    url: `${server.url}/graphql`,
    preferGetMethod: false,
    fetchSubscriptions: true,
    exchanges: [fetchExchange],
  });
}

function subscribe(t, client, variables) {
  const results = new Mailbox();
  const { unsubscribe } = client.subscription(UPDATES, variables).subscribe((result) => results.put(result));
  t.after(unsubscribe);
  return results;
}

for (const preferGetMethod of [false, 'force']) {
  const method = preferGetMethod ? 'GET' : 'POST';

  test(`query by ${method} succeeds`, async (t) => {
    const pipeline = await server.pipeline();
    const query = overWebSocket(t).query(STATUS, { pipeline }, { preferGetMethod });
    const { data, error } = await within(query.toPromise(), 'a status');
    assert.equal(error, undefined);
    assert.match(data.pipelineStatus.revision, /^\d+$/);
  });

  test(`errors of a query by ${method} are returned`, async (t) => {
    const client = overWebSocket(t);
    const ask = (query, variables) => within(client.query(query, variables, { preferGetMethod }).toPromise(), 'it');
    const invalid = await ask('{ nothing }', {});
    assert.equal(typeof invalid.error.graphQLErrors[0]?.message, 'string', `${invalid.error}`);
    const unknown = await ask(STATUS, { pipeline: 'nowhere' });
    assert.equal(unknown.error.graphQLErrors[0]?.extensions.code, 'PIPELINE_NOT_FOUND', `${unknown.error}`);
  });
}

test('mutation succeeds', async (t) => {
  const pipeline = await server.pipeline();
  const { data, error } = await within(overWebSocket(t).mutation(RECORD, run(pipeline)).toPromise(), 'an answer');
  assert.equal(error, undefined);
  assert.deepEqual(
    data.recordSourceRun.results.map(({ status }) => status),
    ['STORED'],
  );
});

for (const [way, open] of Object.entries({ 'graphql-ws': overWebSocket, 'fetch and events': overEvents })) {
  test(`subscription receives the changes of its pipeline (${way})`, async (t) => {
    const pipeline = await server.pipeline();
    const results = subscribe(t, open(t), { pipeline });
    const first = await results.take('the first status');
    assert.equal(first.error, undefined);
    const revision = await server.report(pipeline);
    await results.takeUntil('the change', ({ data }) => isAtLeast(data.pipelineStatusUpdates, revision));
  });

  test(`subscription error has a code (${way})`, async (t) => {
    const { error } = await subscribe(t, open(t), { pipeline: 'nowhere' }).take('the error');
    assert.equal(error.graphQLErrors[0]?.extensions.code, 'PIPELINE_NOT_FOUND', `${error}`);
  });
}
