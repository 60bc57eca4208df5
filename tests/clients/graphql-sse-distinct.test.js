// graphql-sse, distinct connections mode: one stream, one operation.
// Source: PROTOCOL.md of enisdenjo/graphql-sse.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { Events } from './support/events.js';
import { Mailbox } from './support/mailbox.js';
import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server, isAtLeast } from './support/server.js';
import { within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const WAYS = {
  POST: (t, request, headers) =>
    Events.open(t, `${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(request),
    }),
  GET: (t, request, headers) => Events.open(t, urlOf(request), { headers }),
};

function urlOf({ query, variables, operationName }) {
  const url = new URL('/graphql', server.url);
  if (query !== undefined) url.searchParams.set('query', query);
  if (variables) url.searchParams.set('variables', JSON.stringify(variables));
  if (operationName) url.searchParams.set('operationName', operationName);
  return url.href;
}

/** Asserts that the next event is `next` and returns its result. */
async function takeNext(stream) {
  const { event, data } = await stream.take('a next event');
  assert.equal(event, 'next', data);
  return JSON.parse(data);
}

/** Asserts that the next event is `complete` and the last one. */
async function takeComplete(stream) {
  const complete = await stream.take('the complete event');
  // EventSource does not dispatch an event without data.
  assert.deepEqual(complete, { event: 'complete', data: '' });
  assert.deepEqual(await stream.events.takeAll('the stream'), []);
}

for (const [way, open] of Object.entries(WAYS)) {
  test(`subscription sends a next event per status (${way})`, async (t) => {
    const pipeline = await server.pipeline();
    const stream = await open(t, { query: UPDATES, variables: { pipeline } });
    assert.match((await takeNext(stream)).data.pipelineStatusUpdates.revision, /^\d+$/);
    for (let change = 0; change < 2; change += 1) {
      const revision = await server.report(pipeline);
      for (;;) {
        const { data } = await takeNext(stream);
        if (isAtLeast(data.pipelineStatusUpdates, revision)) break;
      }
    }
  });

  test(`query sends a next and a complete event (${way})`, async (t) => {
    const pipeline = await server.pipeline();
    const stream = await open(t, { query: STATUS, variables: { pipeline } });
    const result = await takeNext(stream);
    assert.match(result.data.pipelineStatus.revision, /^\d+$/);
    assert.equal(result.errors, undefined);
    await takeComplete(stream);
  });

  test(`operationName selects the operation (${way})`, async (t) => {
    const query = 'query A { a: __typename } subscription B { pipelineStatusUpdates { pipeline } }';
    const stream = await open(t, { query, operationName: 'B' });
    assert.equal((await takeNext(stream)).data.pipelineStatusUpdates.pipeline, 'default');
  });

  const REFUSED = {
    'no document': { query: '{' },
    'an unknown field': { query: '{ nothing }' },
    'an unknown field of a subscription': { query: 'subscription { nothing }' },
    'an unknown operation': { query: 'query A { __typename }', operationName: 'B' },
    'a missing variable': { query: UPDATES },
  };
  for (const [what, request] of Object.entries(REFUSED)) {
    test(`${what} sends a next event with errors and a complete event (${way})`, async (t) => {
      const stream = await open(t, request);
      const result = await takeNext(stream);
      assert.equal(typeof result.errors[0].message, 'string');
      assert.ok(!('data' in result), 'nothing was executed');
      await takeComplete(stream);
    });
  }

  test(`unknown pipeline sends a next event with its code and a complete event (${way})`, async (t) => {
    const stream = await open(t, { query: UPDATES, variables: { pipeline: 'nowhere' } });
    assert.equal((await takeNext(stream)).errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
    await takeComplete(stream);
  });

  test(`removing the pipeline sends the complete event (${way})`, async (t) => {
    const pipeline = await server.pipeline();
    const stream = await open(t, { query: UPDATES, variables: { pipeline } });
    await takeNext(stream);
    await server.removePipeline(pipeline);
    await takeComplete(stream);
  });

  test(`stream is not cached, buffered or compressed (${way})`, async (t) => {
    const stream = await open(t, { query: UPDATES, variables: { pipeline: 'default' } }, { 'accept-encoding': 'gzip' });
    const { headers } = stream.response;
    assert.match(headers.get('cache-control'), /no-(store|cache)/);
    assert.equal(headers.get('x-accel-buffering'), 'no');
    assert.ok([null, 'identity', 'none'].includes(headers.get('content-encoding')));
  });

  test(`stream is selected from a list in Accept (${way})`, async (t) => {
    const stream = await open(
      t,
      { query: UPDATES, variables: { pipeline: 'default' } },
      {
        accept: 'text/event-stream, multipart/mixed',
      },
    );
    await takeNext(stream);
  });

  test(`server shutdown ends the stream (${way})`, async (t) => {
    const stopping = await Server.startFor(t);
    const request = { query: UPDATES, variables: { pipeline: 'default' } };
    const url = `${stopping.url}/graphql${way === 'GET' ? new URL(urlOf(request)).search : ''}`;
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) };
    const stream = await Events.open(t, url, way === 'GET' ? {} : post);
    await takeNext(stream);
    stopping.beginStop();
    const rest = await stream.events.takeAll('the stream');
    // Without a complete event, after which a client would not reconnect.
    assert.ok(rest.every(({ event }) => event === 'next'));
    await stopping.stop();
  });
}

test('mutation by POST is executed', async (t) => {
  const pipeline = await server.pipeline();
  const stream = await WAYS.POST(t, { query: RECORD, variables: run(pipeline) });
  const { data } = await takeNext(stream);
  assert.deepEqual(data.recordSourceRun.results, [{ status: 'STORED' }]);
  await takeComplete(stream);
});

test('mutation by GET returns 405 and is not executed', async () => {
  const pipeline = await server.pipeline();
  const { pipelineStatus: before } = await server.graphql(STATUS, { pipeline });
  const url = urlOf({ query: RECORD, variables: run(pipeline) });
  const answer = await within(fetch(url, { headers: { accept: 'text/event-stream' } }), 'an answer');
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.get('allow'), 'POST');
  const { pipelineStatus: after } = await server.graphql(STATUS, { pipeline });
  assert.equal(after.revision, before.revision);
});

const BAD = {
  'no query': ['{}', 400],
  'variables that are an array': ['{"query":"{ __typename }","variables":[]}', 400],
  'no JSON': ['{', 400],
};
for (const [what, [body, status]] of Object.entries(BAD)) {
  test(`${what} returns ${status}`, async () => {
    const headers = { accept: 'text/event-stream', 'content-type': 'application/json' };
    const answer = await within(fetch(`${server.url}/graphql`, { method: 'POST', headers, body }), 'an answer');
    assert.equal(answer.status, status);
  });
}

test('POST without a JSON content type returns 415', async () => {
  const headers = { accept: 'text/event-stream', 'content-type': 'text/plain' };
  const request = fetch(`${server.url}/graphql`, { method: 'POST', headers, body: '{"query":"{ __typename }"}' });
  assert.equal((await within(request, 'an answer')).status, 415);
});

test('client that prefers JSON to a stream gets JSON', async () => {
  const pipeline = await server.pipeline();
  // The Accept header of every urql query.
  const accept =
    'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed';
  const answer = await within(fetch(urlOf({ query: STATUS, variables: { pipeline } }), { headers: { accept } }), 'it');
  assert.match(answer.headers.get('content-type'), /^application\/graphql-response\+json/);
});

test('EventSource receives a subscription and its complete event', async (t) => {
  const pipeline = await server.pipeline();
  const source = new EventSource(urlOf({ query: UPDATES, variables: { pipeline } }));
  t.after(() => source.close());
  const events = new Mailbox();
  for (const name of ['next', 'complete', 'error']) source.addEventListener(name, (event) => events.put(event));
  const first = await events.take('the first status');
  assert.equal(first.type, 'next', first.message);
  const revision = await server.report(pipeline);
  await events.takeUntil('the change', ({ data }) => isAtLeast(JSON.parse(data).data.pipelineStatusUpdates, revision));
  await server.removePipeline(pipeline);
  await events.takeUntil('the complete event', ({ type }) => type === 'complete');
  source.close();
});
