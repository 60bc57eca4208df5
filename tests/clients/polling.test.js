// Polling: the plain status with an ETag.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { STATUS } from './support/operations.js';
import { Server } from './support/server.js';
import { eventually, within } from './support/within.js';

const PATH = '/api/v1/monitoring/pipeline-status';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

/** Requests the status; returns the response with its body as text. */
async function poll(search, headers, { method = 'GET', base = server.url } = {}) {
  const answer = await within(fetch(`${base}${PATH}${search}`, { method, headers }), 'an answer');
  return { status: answer.status, headers: answer.headers, text: await within(answer.text(), 'a body') };
}

const tagOf = ({ headers }) => headers.get('etag');

test('status has a weak ETag, a timestamp, and must be revalidated', async () => {
  const pipeline = await server.pipeline();
  const answer = await poll(`?pipeline=${pipeline}`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/json(;|$)/);
  assert.equal(answer.headers.get('cache-control'), 'no-cache');
  assert.match(tagOf(answer), /^W\/"[^"]+"$/);
  const status = JSON.parse(answer.text);
  assert.equal(status.pipeline, pipeline);
  assert.equal(answer.headers.get('x-status-timestamp'), status.timestamp);
});

/** Values of If-None-Match that match the tag. */
const KNOWN = {
  'the tag': (tag) => tag,
  'the tag without its weakness': (tag) => tag.replace('W/', ''),
  'a list that ends with it': (tag) => `W/"other", "another", ${tag}`,
  'a list that begins with it': (tag) => `${tag},W/"other"`,
  'a list with odd spaces': (tag) => `  "other"  ,   ${tag}  `,
  'anything at all': () => '*',
};

for (const [what, header] of Object.entries(KNOWN)) {
  test(`304 for ${what}`, async () => {
    const search = `?pipeline=${await server.pipeline()}`;
    const first = await poll(search);
    const second = await poll(search, { 'if-none-match': header(tagOf(first)) });
    assert.equal(second.status, 304);
    assert.equal(second.text, '');
    assert.equal(tagOf(second), tagOf(first));
    assert.equal(second.headers.get('cache-control'), 'no-cache');
    assert.match(second.headers.get('x-status-timestamp'), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.equal(second.headers.get('content-type'), null);
  });
}

/** Values of If-None-Match that do not match. */
const UNKNOWN = {
  'another tag': () => 'W/"other"',
  'the tag in other quotes': (tag) => tag.replaceAll('"', "'"),
  'a part of the tag': (tag) => `${tag.slice(0, -2)}"`,
  'the tag in small letters': (tag) => tag.replace('W/', 'w/'),
  nothing: () => '',
};

for (const [what, header] of Object.entries(UNKNOWN)) {
  test(`200 for ${what}`, async () => {
    const search = `?pipeline=${await server.pipeline()}`;
    const first = await poll(search);
    const second = await poll(search, { 'if-none-match': header(tagOf(first)) });
    assert.equal(second.status, 200);
    assert.equal(tagOf(second), tagOf(first));
  });
}

test('change returns 200 with another ETag and a newer status', async () => {
  const pipeline = await server.pipeline();
  const search = `?pipeline=${pipeline}`;
  let last = await poll(search);
  for (let change = 0; change < 5; change += 1) {
    const revision = await server.report(pipeline);
    const next = await poll(search, { 'if-none-match': tagOf(last) });
    assert.equal(next.status, 200);
    assert.equal(JSON.parse(next.text).revision, revision);
    assert.notEqual(tagOf(next), tagOf(last));
    last = next;
  }
});

test('ETag is unchanged while only time passes, and the timestamp shows the age', async (t) => {
  const quick = await Server.startFor(t, { interval: '100ms' });
  const first = await poll('', {}, { base: quick.url });
  const known = { 'if-none-match': tagOf(first) };
  const later = await eventually(
    'a later instant',
    () => poll('', known, { base: quick.url }),
    ({ headers }) => headers.get('x-status-timestamp') > first.headers.get('x-status-timestamp'),
  );
  assert.equal(later.status, 304);
  assert.equal(tagOf(later), tagOf(first));
});

test('another list of sources has another ETag', async () => {
  const pipeline = await server.pipeline();
  const [all, none] = [
    await poll(`?pipeline=${pipeline}&sources=all`),
    await poll(`?pipeline=${pipeline}&sources=none`),
  ];
  assert.notEqual(tagOf(all), tagOf(none));
  assert.equal(JSON.parse(none.text).scraping_health.sources.length, 0);
  assert.equal(JSON.parse(none.text).scraping_health.sources_omitted, 1);
  assert.equal((await poll(`?pipeline=${pipeline}&sources=some`)).status, 400);
});

test('HEAD returns the headers of GET without a body', async () => {
  const search = `?pipeline=${await server.pipeline()}`;
  const [get, head] = [await poll(search), await poll(search, {}, { method: 'HEAD' })];
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  assert.equal(tagOf(head), tagOf(get));
  assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(get.text)));
  const known = await poll(search, { 'if-none-match': tagOf(get) }, { method: 'HEAD' });
  assert.equal(known.status, 304);
});

for (const method of ['POST', 'PUT', 'DELETE']) {
  test(`${method} returns 405 with Allow`, async () => {
    const answer = await poll('', {}, { method });
    assert.equal(answer.status, 405);
    assert.match(answer.headers.get('allow'), /\bGET\b/);
  });
}

for (const pipeline of ['nowhere', 'No%20Key', '']) {
  test(`unknown pipeline "${pipeline}" returns 404, with any If-None-Match`, async () => {
    const answer = await poll(`?pipeline=${pipeline}`, { 'if-none-match': '*' });
    assert.equal(answer.status, 404);
    assert.match(answer.headers.get('content-type'), /^application\/problem\+json(;|$)/);
    assert.equal(JSON.parse(answer.text).code, 'PIPELINE_NOT_FOUND');
  });
}

test('CORS exposes the ETag and the timestamp', async (t) => {
  const open = await Server.startFor(t, { CORS_ORIGINS: '*' });
  const answer = await poll('', { origin: 'https://example.org' }, { base: open.url });
  assert.ok(['*', 'https://example.org'].includes(answer.headers.get('access-control-allow-origin')));
  const exposed = answer.headers
    .get('access-control-expose-headers')
    .toLowerCase()
    .split(/\s*,\s*/);
  assert.ok(exposed.includes('etag') && exposed.includes('x-status-timestamp'), `${exposed}`);
});

test('GraphQL query by GET has an ETag', async () => {
  const pipeline = await server.pipeline();
  const url = new URL('/graphql', server.url);
  url.searchParams.set('query', STATUS);
  url.searchParams.set('variables', JSON.stringify({ pipeline }));
  const ask = (headers) => within(fetch(url, { headers }), 'an answer');
  const first = await ask();
  assert.ok(tagOf(first), 'there is a tag');
  const known = { 'if-none-match': tagOf(first) };
  assert.equal((await ask(known)).status, 304);
  const revision = await server.report(pipeline);
  const changed = await ask(known);
  assert.equal(changed.status, 200);
  assert.equal((await changed.json()).data.pipelineStatus.revision, revision);
});
