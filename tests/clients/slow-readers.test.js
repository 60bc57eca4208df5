// A slow reader skips to the newest status: nothing queues, and other clients do not wait.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { GraphqlSocket } from './support/graphql-socket.js';
import { Server, isAtLeast } from './support/server.js';
import { Socket } from './support/socket.js';

/** Enough sources that a few statuses fill all buffers between server and client. */
const SOURCES = 4_000;
const CHANGES = 15;

const WATCH = `subscription ($pipeline: String!) {
  pipelineStatusUpdates(pipeline: $pipeline) { revision scrapingHealth { sources(all: true) { source status } } }
}`;

let server;
// The slow reader must not be disconnected while it pauses.
before(async () => (server = await Server.start({ WRITE_TIMEOUT: '1h' })));
after(() => server.stop());

/** A pipeline with many sources of long names. */
async function large() {
  const pipeline = await server.pipeline();
  const timestamp = new Date().toISOString();
  for (let at = 0; at < SOURCES; at += 1_000) {
    const runs = Array.from({ length: 1_000 }, (_, n) => ({ source: `${at + n} `.padEnd(250, 'x'), timestamp }));
    const answer = await server.post(`/api/v1/source-runs?pipeline=${pipeline}`, runs);
    assert.equal(answer.status, 201);
  }
  return pipeline;
}

/** Each kind of WebSocket, with a function that finds the status in a message. */
const WAYS = {
  graphql: async (t, pipeline) => {
    const { socket } = await GraphqlSocket.open(t, server);
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: WATCH, variables: { pipeline } } }));
    return [socket, ({ payload }) => payload.data.pipelineStatusUpdates];
  },
  plain: async (t, pipeline) => {
    const url = server.socketUrl(`/api/v1/ws/monitoring/pipeline-status?pipeline=${pipeline}&sources=all`);
    return [await Socket.open(t, url), (status) => status];
  },
};

for (const [kind, open] of Object.entries(WAYS)) {
  test(`slow reader skips statuses and a fast reader does not wait (${kind})`, async (t) => {
    const pipeline = await large();
    const [slow, statusIn] = await open(t, pipeline);
    const [fast] = await open(t, pipeline);
    for (const socket of [slow, fast]) await socket.json('the first status');

    slow.pause();
    let newest;
    for (let change = 0; change < CHANGES; change += 1) {
      newest = await server.report(pipeline);
      // The fast reader shows that a newer status was available.
      await fast.jsonUntil('the change', (message) => isAtLeast(statusIn(message), newest));
    }
    slow.resume();

    const revisions = [];
    while (revisions.at(-1) !== newest) revisions.push(statusIn(await slow.json('the newest status')).revision);
    assert.deepEqual(revisions, [...revisions].sort(), 'they rise');
    assert.ok(revisions.length < CHANGES, `${revisions.length} of ${CHANGES} came: they were queued`);
  });
}
