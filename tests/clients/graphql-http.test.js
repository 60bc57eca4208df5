import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { serverAudits } from 'graphql-http';

import { Server } from './support/server.js';
import { within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const audits = serverAudits({ url: () => `${server.url}/graphql` });

test('audit suite is complete', () => {
  // A release without some audits would otherwise pass unnoticed.
  assert.equal(audits.length, 61);
});

for (const audit of audits) {
  // MAY audits included: this server guarantees their behaviour (400s, 405).
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await within(audit.fn(), audit.id);
    const answer = result.response && `\n${result.response.status} ${result.response.headers.get('content-type')}`;
    assert.equal(result.status, 'ok', `${audit.id} ${audit.name}: ${result.reason}${answer ?? ''}`);
  });
}
