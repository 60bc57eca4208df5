// The npm graphql-ws client, with its connection, ping and retry behaviour.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { Mailbox } from './support/mailbox.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';
import { within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

/** A client, disposed at the end of the test `t`, and the events of its connection: `connected`, `closed`, `ping`, … */
function client(t, server, options = {}) {
  const log = new Mailbox();
  const created = createClient({
    url: server.socketUrl('/graphql'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    on: Object.fromEntries(
      ['connecting', 'opened', 'connected', 'ping', 'pong', 'closed', 'error'].map((event) => [
        event,
        (...details) => log.put({ event, details }),
      ]),
    ),
    ...options,
  });
  // Not awaited: it waits for a pending connection, which the end of the server may have closed.
  t.after(() => void created.dispose());
  return { client: created, log };
}

/** Subscribes; returns the results, and a function that ends the operation. */
function subscribe(client, query, variables) {
  const results = new Mailbox();
  const complete = client.subscribe(
    { query, variables },
    {
      next: (result) => results.put(result),
      error: (failure) => {
        results.put({ failure });
        results.end('error');
      },
      complete: () => results.end('complete'),
    },
  );
  return { results, complete };
}

const statusIn = (result) => result.data.pipelineStatusUpdates;
const event = (name) => (entry) => entry.event === name;

test('subscription receives the changes of its pipeline', async (t) => {
  const pipeline = await server.pipeline();
  const { results } = subscribe(client(t, server).client, UPDATES, { pipeline });
  await results.take('the first status');
  for (let change = 0; change < 2; change += 1) {
    const revision = await server.report(pipeline);
    await results.takeUntil('the change', (result) => isAtLeast(statusIn(result), revision));
  }
});

test('query and mutation return one result and complete', async (t) => {
  const pipeline = await server.pipeline();
  const { client: connection } = client(t, server);
  const query = await subscribe(connection, STATUS, { pipeline }).results.takeAll('the query');
  assert.deepEqual(
    query.map(({ failure }) => failure),
    [undefined],
  );
  assert.match(query[0].data.pipelineStatus.revision, /^\d+$/);
  const mutation = await subscribe(connection, RECORD, run(pipeline)).results.takeAll('the mutation');
  // A lazy client disconnects between the two; an unanswered close would fail here.
  assert.deepEqual(
    mutation.map(({ failure, data }) => failure ?? data.recordSourceRun.results),
    [[{ status: 'STORED' }]],
  );
});

test('leaving the iteration of results ends the subscription', async (t) => {
  const pipeline = await server.pipeline();
  const { client: connection, log } = client(t, server);
  const iterate = async () => {
    let revision;
    for await (const result of connection.iterate({ query: UPDATES, variables: { pipeline } })) {
      if (revision && isAtLeast(statusIn(result), revision)) return;
      revision ??= await server.report(pipeline);
    }
  };
  await within(iterate(), 'two statuses');
  await log.takeUntil('the end of a connection without use', event('closed'));
});

test('invalid operation is an error of the operation and leaves the connection open', async (t) => {
  const pipeline = await server.pipeline();
  const { client: connection, log } = client(t, server, { lazyCloseTimeout: 60_000 });
  for (const query of ['{', '{ nothing }', 'subscription { nothing }']) {
    const [{ failure }] = await subscribe(connection, query).results.takeAll(query);
    assert.equal(typeof failure[0].message, 'string', query);
  }
  const [{ failure }] = await subscribe(connection, UPDATES, { pipeline: 'nowhere' }).results.takeAll('the error');
  assert.equal(failure[0].extensions.code, 'PIPELINE_NOT_FOUND');
  await subscribe(connection, UPDATES, { pipeline }).results.take('a status');
  assert.equal(log.drain().filter(event('connected')).length, 1);
});

test('lazy client connects for its first operation and disconnects after its last', async (t) => {
  const pipeline = await server.pipeline();
  const { client: connection, log } = client(t, server);
  const first = subscribe(connection, UPDATES, { pipeline });
  const second = subscribe(connection, UPDATES, { pipeline });
  assert.equal((await log.take('the connection')).event, 'connecting');
  await Promise.all([first, second].map(({ results }) => results.take('a status')));
  first.complete();
  // The second operation continues on the same connection.
  const revision = await server.report(pipeline);
  await second.results.takeUntil('the change', (result) => isAtLeast(statusIn(result), revision));
  second.complete();
  const events = [];
  while (events.at(-1) !== 'closed') events.push((await log.take('the close')).event);
  assert.deepEqual(events, ['opened', 'connected', 'closed']);
  // The client reconnects for another operation.
  await subscribe(connection, UPDATES, { pipeline }).results.take('a status');
});

test('close of a client is answered', async (t) => {
  const pipeline = await server.pipeline();
  const { client: connection, log } = client(t, server);
  const { results, complete } = subscribe(connection, UPDATES, { pipeline });
  await results.take('a status');
  complete();
  const { details } = await log.takeUntil('the close', event('closed'));
  assert.equal(details[0].code, 1000);
});

test('eager client connects immediately, with parameters', async (t) => {
  const { log } = client(t, server, { lazy: false, connectionParams: { token: 'x' } });
  await log.takeUntil('the acknowledgement', event('connected'));
});

test('keepAlive pings are answered', async (t) => {
  const { log } = client(t, server, { lazy: false, keepAlive: 20 });
  for (let round = 0; round < 3; round += 1) {
    const { details } = await log.takeUntil('a pong', event('pong'));
    assert.equal(details[0], true, 'it was received');
  }
});

test('removing a pipeline completes its subscriptions', async (t) => {
  const pipeline = await server.pipeline();
  const { results } = subscribe(client(t, server).client, UPDATES, { pipeline });
  await results.take('a status');
  await server.removePipeline(pipeline);
  const rest = await results.takeAll('the rest');
  assert.ok(
    rest.every((result) => result.data),
    JSON.stringify(rest),
  );
});

test('client reconnects to a restarted server and receives the current status', async (t) => {
  const restarting = await Server.startFor(t);
  let goOn;
  const isBack = new Promise((resolve) => (goOn = resolve));
  // One attempt, made when the server is back.
  const { client: connection, log } = client(t, restarting, { retryAttempts: 1, retryWait: () => isBack });
  const { results } = subscribe(connection, UPDATES, { pipeline: 'default' });
  await results.take('the first status');

  await restarting.restart();
  const revision = await restarting.report('default');
  goOn();

  const { details } = await log.takeUntil('the close', event('closed'));
  assert.equal(details[0].code, 1012, 'the code that says to come back');
  await results.takeUntil('the newest status', (result) => isAtLeast(statusIn(result), revision));
});
