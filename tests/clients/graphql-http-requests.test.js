// GraphQL over HTTP beyond its audits: what PROTOCOLS.md owes, and the traps that it names.
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

/** The form of the answer by what is accepted. */
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
  test(`Accept "${accept}" is answered with ${type}`, async () => {
    const answer = await post({ query: '{ __typename }' }, { accept });
    assert.deepEqual([answer.status, answer.type], [200, type]);
    assert.deepEqual(answer.body, { data: { __typename: 'Query' } });
  });
}

for (const accept of ['text/html', 'image/*', `${JSON_TYPE};q=0`]) {
  test(`406 answers Accept "${accept}"`, async () => {
    assert.equal((await post({ query: '{ __typename }' }, { accept })).status, 406);
  });
}

for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/graphql']) {
  test(`415 answers the content type ${type}`, async () => {
    assert.equal((await post('{"query":"{ __typename }"}', { 'content-type': type })).status, 415);
  });
}

/** Requests that cannot be executed, though they are well formed. */
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
  test(`${what} is refused by the status in ${GRAPHQL}, without data in both forms`, async () => {
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

test('a variable that is used on __typename only is used', async () => {
  const query = 'query ($with: Boolean!) { __typename @include(if: $with) }';
  const answer = await post({ query, variables: { with: true } }, { accept: GRAPHQL });
  assert.deepEqual([answer.status, answer.body], [200, { data: { __typename: 'Query' } }]);
});

for (const [what, body] of Object.entries({
  'no query': {},
  'an array': [{ query: '{ __typename }' }],
  'an operationName that is a number': { query: '{ __typename }', operationName: 1 },
  'variables that are an array': { query: '{ __typename }', variables: [] },
  'extensions that are a string': { query: '{ __typename }', extensions: '' },
})) {
  test(`400 answers ${what}, in both forms`, async () => {
    for (const accept of [GRAPHQL, JSON_TYPE]) assert.equal((await post(body, { accept })).status, 400);
  });
}

test('405 answers a mutation by GET, which is not executed', async () => {
  const pipeline = await server.pipeline();
  const { pipelineStatus: before } = await server.graphql(STATUS, { pipeline });
  const answer = await get({ query: RECORD, variables: JSON.stringify(run(pipeline)) });
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.get('allow'), 'POST');
  const { pipelineStatus: after } = await server.graphql(STATUS, { pipeline });
  assert.equal(after.revision, before.revision);
});

for (const [method, ask] of Object.entries({ POST: post, GET: get })) {
  test(`a subscription by ${method} is refused, and told both ways to get one`, async () => {
    const variables = { pipeline: 'default' };
    const request = { query: UPDATES, variables: method === 'GET' ? JSON.stringify(variables) : variables };
    const answer = await ask(request, { accept: GRAPHQL });
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
    const [{ message }] = answer.body.errors;
    assert.match(message, /graphql-transport-ws/);
    assert.match(message, /Server-Sent Events|text\/event-stream|graphql-sse/);
  });
}

test('an unknown pipeline has its code, and the query was executed', async () => {
  const answer = await post({ query: STATUS, variables: { pipeline: 'nowhere' } }, { accept: JSON_TYPE });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.errors[0].extensions.code, 'PIPELINE_NOT_FOUND');
  assert.equal(answer.body.data, null);
});
