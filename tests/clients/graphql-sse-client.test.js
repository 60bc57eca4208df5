// The npm graphql-sse client, in both modes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { NetworkError, createClient } from 'graphql-sse';

import { Mailbox } from './support/mailbox.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

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

const statusIn = (result) => {
  assert.equal(result.failure, undefined);
  return result.data.pipelineStatusUpdates;
};

for (const singleConnection of [false, true]) {
  const mode = singleConnection ? 'single connection' : 'distinct connections';
  const client = (t, options) => {
    const created = createClient({ url: `${server.url}/graphql`, singleConnection, retryAttempts: 0, ...options });
    t.after(() => created.dispose());
    return created;
  };

  test(`subscription receives the changes of its pipeline (${mode})`, async (t) => {
    const pipeline = await server.pipeline();
    const { results } = subscribe(client(t), UPDATES, { pipeline });
    statusIn(await results.take('the first status'));
    for (let change = 0; change < 2; change += 1) {
      const revision = await server.report(pipeline);
      await results.takeUntil('the change', (result) => isAtLeast(statusIn(result), revision));
    }
  });

  test(`query and mutation return one result and complete (${mode})`, async (t) => {
    const pipeline = await server.pipeline();
    const connection = client(t);
    const [query, ...more] = await subscribe(connection, STATUS, { pipeline }).results.takeAll('the query');
    assert.match(query.data?.pipelineStatus.revision, /^\d+$/, query.failure);
    assert.deepEqual(more, []);
    const [mutation] = await subscribe(connection, RECORD, run(pipeline)).results.takeAll('the mutation');
    assert.deepEqual(mutation.data?.recordSourceRun.results, [{ status: 'STORED' }], mutation.failure);
  });

  test(`ending one subscription does not affect another (${mode})`, async (t) => {
    const pipeline = await server.pipeline();
    const connection = client(t);
    const ended = subscribe(connection, UPDATES, { pipeline });
    const other = subscribe(connection, UPDATES, { pipeline });
    for (const { results } of [ended, other]) statusIn(await results.take('the first status'));
    ended.complete();
    await ended.results.takeAll('the end');
    const revision = await server.report(pipeline);
    await other.results.takeUntil('the change', (result) => isAtLeast(statusIn(result), revision));
  });

  test(`removing a pipeline completes its subscriptions (${mode})`, async (t) => {
    const pipeline = await server.pipeline();
    const { results } = subscribe(client(t), UPDATES, { pipeline });
    statusIn(await results.take('the first status'));
    await server.removePipeline(pipeline);
    (await results.takeAll('the rest')).forEach(statusIn);
  });

  test(`unknown pipeline is an error with a code (${mode})`, async (t) => {
    const { results } = subscribe(client(t), UPDATES, { pipeline: 'nowhere' });
    const [result] = await results.takeAll('the error');
    assert.equal(result.errors?.[0].extensions.code, 'PIPELINE_NOT_FOUND', result.failure);
  });

  test(`client reconnects to a restarted server (${mode})`, async (t) => {
    const restarting = await Server.startFor(t);
    let goOn;
    const isBack = new Promise((resolve) => (goOn = resolve));
    // One attempt, made when the server is back.
    const connection = client(t, { url: `${restarting.url}/graphql`, retryAttempts: 1, retry: () => isBack });
    const { results } = subscribe(connection, UPDATES, { pipeline: 'default' });
    statusIn(await results.take('the first status'));
    await restarting.restart();
    const revision = await restarting.report('default');
    goOn();
    await results.takeUntil('the newest status', (result) => isAtLeast(statusIn(result), revision));
  });
}

test('errors of an operation are its result (distinct connections)', async (t) => {
  const client = createClient({ url: `${server.url}/graphql`, retryAttempts: 0 });
  t.after(() => client.dispose());
  for (const query of ['{', '{ nothing }', 'subscription { nothing }']) {
    const [result] = await subscribe(client, query).results.takeAll(query);
    assert.equal(typeof result.errors?.[0].message, 'string', result.failure);
  }
});

test('invalid operation fails its request and leaves the stream open (single connection)', async (t) => {
  const client = createClient({ url: `${server.url}/graphql`, singleConnection: true, retryAttempts: 0 });
  t.after(() => client.dispose());
  const { results: other } = subscribe(client, UPDATES, { pipeline: 'default' });
  statusIn(await other.take('the first status'));
  const [{ failure }] = await subscribe(client, '{ nothing }').results.takeAll('the error');
  // The client does not expose the body, which has the details.
  assert.ok(failure instanceof NetworkError, failure);
  const revision = await server.report('default');
  await other.takeUntil('the change', (result) => isAtLeast(statusIn(result), revision));
});
