import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { serverAudits } from 'graphql-http';

import { Server } from './support/server.js';
import { within } from './support/within.js';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const audits = serverAudits({ url: () => `${server.url}/graphql` });

test('the suite of audits is complete', () => {
  // A release that moves audits elsewhere would otherwise pass in silence.
  assert.equal(audits.length, 61);
});

for (const audit of audits) {
  // MAY audits too: PROTOCOLS.md owes their behaviour (400s, 405) without the MAY.
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await within(audit.fn(), audit.id);
    const answer = result.response && `\n${result.response.status} ${result.response.headers.get('content-type')}`;
    assert.equal(result.status, 'ok', `${audit.id} ${audit.name}: ${result.reason}${answer ?? ''}`);
  });
}
