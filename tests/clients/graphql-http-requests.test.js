// GraphQL over HTTP, beyond the audits of npm graphql-http.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { RECORD, STATUS, UPDATES, run } from './support/operations.js';
import { Server } from './support/server.js';
import { within } from './support/within.js';

const GRAPHQL = 'application/graphql-response+json';
const JSON_TYPE = 'application/json';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

async function post(request, headers) {
  const init = {
    method: 'POST',
    headers: { 'content-type': JSON_TYPE, ...headers },
    body: typeof request === 'string' ? request : JSON.stringify(request),
  };
  return read(await within(fetch(`${server.url}/graphql`, init), 'an answer'));
}

async function get(parameters, headers) {
  const url = new URL('/graphql', server.url);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return read(await within(fetch(url, { headers }), 'an answer'));
}

async function read(answer) {
  const type = answer.headers.get('content-type')?.split(';')[0];
  const text = await within(answer.text(), 'a body');
  return { status: answer.status, headers: answer.headers, type, body: /json$/.test(type) ? JSON.parse(text) : text };
}

/** The content type of the response for values of Accept. */
for (const [accept, type] of [
  [GRAPHQL, GRAPHQL],
  [JSON_TYPE, JSON_TYPE],
  ['*/*', JSON_TYPE],
  ['application/*', JSON_TYPE],
  [`${GRAPHQL}; charset=utf-8`, GRAPHQL],
  [`${GRAPHQL}, ${JSON_TYPE};q=0.9`, GRAPHQL],
  [`${JSON_TYPE};q=0.5, ${GRAPHQL};q=0.6`, GRAPHQL],
  [`${GRAPHQL};q=0.1,${JSON_TYPE};q=0.2`, JSON_TYPE],
  [`${GRAPHQL}, application/graphql+json, ${JSON_TYPE}, text/event-stream, multipart/mixed`, GRAPHQL],
  ['text/html, */*;q=0.1', JSON_TYPE],
]) {
  test(`Accept "${accept}" returns ${type}`, async () => {
    const answer = await post({ query: '{ __typename }' }, { accept });
    assert.deepEqual([answer.status, answer.type], [200, type]);
    assert.deepEqual(answer.body, { data: { __typename: 'Query' } });
  });
}

for (const accept of ['text/html', 'image/*', `${JSON_TYPE};q=0`]) {
  test(`Accept "${accept}" returns 406`, async () => {
    assert.equal((await post({ query: '{ __typename }' }, { accept })).status, 406);
  });
}

for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/graphql']) {
  test(`content type ${type} returns 415`, async () => {
    assert.equal((await post('{"query":"{ __typename }"}', { 'content-type': type })).status, 415);
  });
}

/** Well-formed requests that cannot be executed. */
const REFUSED = {
  'no document': { query: '{' },
  'an unknown field': { query: '{ nothing }' },
  'an unknown operation': { query: 'query A { __typename }', operationName: 'B' },
  'several operations without a name': { query: 'query A { __typename } query B { __typename }' },
  'a missing variable': { query: STATUS },
  'a missing variable that only a directive uses': {
    query: 'query ($with: Boolean!) { __typename @include(if: $with) }',
  },
  'a variable of a wrong type': { query: STATUS, variables: { pipeline: [] } },
  'an unused variable': { query: 'query ($more: Int) { __typename }' },
};

for (const [what, request] of Object.entries(REFUSED)) {
  test(`${what} is refused, with a status code in ${GRAPHQL}, without data in both content types`, async () => {
    for (const [accept, status] of [
      [GRAPHQL, 400],
      [JSON_TYPE, 200],
    ]) {
      const answer = await post(request, { accept });
      assert.equal(answer.status, status);
      assert.equal(typeof answer.body.errors[0].message, 'string');
      assert.ok(!('data' in answer.body), 'no data, not even null');
    }
  });
}

test('variable used on __typename only counts as used', async () => {
  const query = 'query ($with: Boolean!) { __typename @include(if: $with) }';
  const answer = await post({ query, variables: { with: true } }, { accept: GRAPHQL });
  assert.deepEqual([answer.status, answer.body], [200, { data: { __typename: 'Query' } }]);
});

for (const [what, body] of Object.entries({
  'no query': {},
  'an empty array': [],
  'an array of strings': ['{ __typename }'],
  'an operationName that is a number': { query: '{ __typename }', operationName: 1 },
  'variables that are an array': { query: '{ __typename }', variables: [] },
  'extensions that are a string': { query: '{ __typename }', extensions: '' },
})) {
  test(`${what} returns 400, in both content types`, async () => {
    for (const accept of [GRAPHQL, JSON_TYPE]) assert.equal((await post(body, { accept })).status, 400);
  });
}

test('mutation by GET returns 405 and is not executed', async () => {
  const pipeline = await server.pipeline();
  const { pipelineStatus: before } = await server.graphql(STATUS, { pipeline });
  const answer = await get({ query: RECORD, variables: JSON.stringify(run(pipeline)) });
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.get('allow'), 'POST');
  const { pipelineStatus: after } = await server.graphql(STATUS, { pipeline });
  assert.equal(after.revision, before.revision);
});

for (const [method, ask] of Object.entries({ POST: post, GET: get })) {
  test(`subscription by ${method} without a stream is refused, and the error names the transports`, async () => {
    const variables = { pipeline: 'default' };
    const request = { query: UPDATES, variables: method === 'GET' ? JSON.stringify(variables) : variables };
    const answer = await ask(request, { accept: GRAPHQL });
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
    const [{ message }] = answer.body.errors;
    assert.match(message, /graphql-transport-ws/);
    assert.match(message, /Server-Sent Events|text\/event-stream|graphql-sse/);
  });
}

test('unknown pipeline has a code, and the other fields are returned', async () => {
  const answer = await post({ query: STATUS, variables: { pipeline: 'nowhere' } }, { accept: JSON_TYPE });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  assert.equal(answer.body.data, null);
});
