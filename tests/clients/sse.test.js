// The plain stream of Server-Sent Events, as `curl -N` and EventSource receive it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { Events } from './support/events.js';
import { Mailbox } from './support/mailbox.js';
import { Server, isAtLeast } from './support/server.js';
import { within } from './support/within.js';

const PATH = '/api/v1/monitoring/pipeline-status/stream';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

function open(t, pipeline, headers, more = '') {
  return Events.open(t, `${server.url}${PATH}?pipeline=${pipeline}${more}`, { headers });
}

/** Asserts that the next event is a well-formed status and returns it. */
async function takeStatus(stream) {
  const { event, id, data } = await stream.take('a status');
  assert.equal(event, 'status');
  const status = JSON.parse(data);
  assert.equal(id, status.revision, 'the id is the revision');
  return status;
}

async function takeUntil(stream, revision) {
  for (;;) {
    const status = await takeStatus(stream);
    if (isAtLeast(status, revision)) return status;
  }
}

test('headers prevent caching, buffering and compression', async (t) => {
  const stream = await open(t, 'default', { 'accept-encoding': 'gzip, br' });
  const { headers } = stream.response;
  assert.match(headers.get('content-type'), /^text\/event-stream(;|$)/);
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('x-accel-buffering'), 'no');
  assert.equal(headers.get('content-encoding'), null);
  assert.equal(headers.get('content-length'), null);
});

test('newest status is sent immediately, with the retry time once', async (t) => {
  const pipeline = await server.pipeline();
  const revision = await server.report(pipeline);
  const stream = await open(t, pipeline);
  const first = await stream.take('the first status');
  assert.equal(first.retry, '3000');
  assert.equal(first.id, revision);
  const status = JSON.parse(first.data);
  assert.equal(status.pipeline, pipeline);
  assert.equal(status.scraping_health.total_sources, 1);
  await server.report(pipeline);
  assert.equal((await stream.take('the second status')).retry, undefined);
});

test('status is sent after every change with increasing revisions', async (t) => {
  const pipeline = await server.pipeline();
  const stream = await open(t, pipeline);
  let last = await takeStatus(stream);
  for (let change = 0; change < 3; change += 1) {
    const revision = await server.report(pipeline);
    last = await takeUntil(stream, revision);
  }
  let newest;
  for (let change = 0; change < 30; change += 1) newest = await server.report(pipeline);
  while (last.revision !== newest) {
    const status = await takeStatus(stream);
    assert.ok(isAtLeast(status, last.revision), `${status.revision} after ${last.revision}`);
    last = status;
  }
});

test('status is sent every interval without a change', async (t) => {
  const quick = await Server.startFor(t, { interval: '100ms' });
  const stream = await Events.open(t, quick.url + PATH);
  let last = await takeStatus(stream);
  for (let round = 0; round < 2; round += 1) {
    const status = await takeStatus(stream);
    assert.equal(status.revision, last.revision);
    assert.ok(status.timestamp > last.timestamp, `${status.timestamp} after ${last.timestamp}`);
    last = status;
  }
});

for (const id of ['0', '1', 'nonsense', '', '99999999999999999999']) {
  test(`Last-Event-ID "${id}" receives the newest status`, async (t) => {
    const pipeline = await server.pipeline();
    for (let change = 0; change < 3; change += 1) await server.report(pipeline);
    const revision = await server.report(pipeline);
    const stream = await open(t, pipeline, { 'last-event-id': id });
    assert.equal((await takeStatus(stream)).revision, revision);
  });
}

test('client with the newest revision receives the status', async (t) => {
  const pipeline = await server.pipeline();
  const revision = await server.report(pipeline);
  const stream = await open(t, pipeline, { 'last-event-id': revision });
  assert.equal((await takeStatus(stream)).revision, revision);
});

test('HEAD returns the headers and ends', async () => {
  const answer = await within(fetch(server.url + PATH, { method: 'HEAD' }), 'an answer');
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/event-stream(;|$)/);
  assert.equal(await within(answer.text(), 'the end'), '');
});

for (const method of ['POST', 'PUT', 'DELETE']) {
  test(`${method} returns 405 with Allow`, async () => {
    const answer = await within(fetch(server.url + PATH, { method }), 'an answer');
    assert.equal(answer.status, 405);
    assert.match(answer.headers.get('allow'), /\bGET\b/);
  });
}

for (const pipeline of ['nowhere', 'No%20Key', '']) {
  test(`unknown pipeline "${pipeline}" returns 404`, async () => {
    const answer = await within(fetch(`${server.url}${PATH}?pipeline=${pipeline}`), 'an answer');
    assert.equal(answer.status, 404);
    assert.equal((await answer.json()).code, 'PIPELINE_NOT_FOUND');
  });
}

test('listed sources can be selected', async (t) => {
  const pipeline = await server.pipeline();
  for (let number = 0; number < 60; number += 1) await server.report(pipeline, { source: `source ${number}` });
  for (const [more, listed, omitted] of [
    ['', 50, 11],
    ['&sources=all', 61, 0],
    ['&sources=none', 0, 61],
  ]) {
    const stream = await open(t, pipeline, {}, more);
    const { scraping_health: health } = await takeStatus(stream);
    assert.deepEqual(
      [health.sources.length, health.sources_omitted, health.total_sources],
      [listed, omitted, 61],
      more,
    );
  }
  const answer = await within(fetch(`${server.url}${PATH}?sources=some`), 'an answer');
  assert.equal(answer.status, 400);
});

test('removing the pipeline ends the stream', async (t) => {
  const pipeline = await server.pipeline();
  const stream = await open(t, pipeline);
  await takeStatus(stream);
  await server.removePipeline(pipeline);
  await stream.events.takeAll('the stream');
});

test('server shutdown ends the stream', async (t) => {
  const stopping = await Server.startFor(t);
  const stream = await Events.open(t, stopping.url + PATH);
  await takeStatus(stream);
  stopping.beginStop();
  await stream.events.takeAll('the stream');
  await stopping.stop();
});

/** An EventSource, closed at the end of the test `t`; its events, and the Last-Event-ID of each request. */
function eventSource(t, url) {
  const received = new Mailbox();
  const ids = [];
  const source = new EventSource(url, {
    fetch: (input, init) => {
      ids.push(init.headers['Last-Event-ID']);
      return fetch(input, init);
    },
  });
  t.after(() => source.close());
  for (const kind of ['open', 'status', 'error', 'message']) source.addEventListener(kind, (event) => received.put(event));
  return { source, received, ids };
}

test('EventSource receives statuses with their revisions as ids', async (t) => {
  const pipeline = await server.pipeline();
  const { received } = eventSource(t, `${server.url}${PATH}?pipeline=${pipeline}`);
  assert.equal((await received.take('the stream')).type, 'open');
  const first = await received.take('the first status');
  assert.equal(first.type, 'status', 'and no nameless message');
  assert.equal(first.lastEventId, JSON.parse(first.data).revision);
  const revision = await server.report(pipeline);
  await received.takeUntil('the change', ({ type, lastEventId }) => type === 'status' && lastEventId === revision);
});

test('EventSource does not reconnect for an unknown pipeline', async (t) => {
  const { source, received } = eventSource(t, `${server.url}${PATH}?pipeline=nowhere`);
  const { type, code } = await received.take('the error');
  assert.deepEqual({ type, code }, { type: 'error', code: 404 });
  assert.equal(source.readyState, EventSource.CLOSED);
});

test('EventSource reconnects to a restarted server with the last revision', async (t) => {
  const restarting = await Server.startFor(t);
  const { received, ids } = eventSource(t, restarting.url + PATH);
  const first = await received.takeUntil('the first status', ({ type }) => type === 'status');
  await restarting.restart();
  const revision = await restarting.report('default');
  await received.takeUntil('the end of the stream', ({ type }) => type === 'error');
  // It reconnects after the retry time of 3 s.
  const next = await received.takeUntil('a status', ({ type }) => type === 'status');
  assert.equal(next.lastEventId, revision);
  assert.equal(ids.at(-1), first.lastEventId);
});
