// After a report all transports deliver the same status.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Events } from './support/events.js';
import { GraphqlSocket } from './support/graphql-socket.js';
import { Server } from './support/server.js';
import { Socket } from './support/socket.js';
import { within } from './support/within.js';

const PLAIN = '/api/v1/monitoring/pipeline-status';
const FIELDS = `{
  revision
  overallStatus
  scrapingHealth { status totalSources articlesCollected eventsExtracted sources { source status successRate lastRun } }
  dataQuality { status geocodingSuccessRate geocodingAttempts validationPassRate validationPasses basis lastUpdated }
}`;
const QUERY = `query ($pipeline: String!) { status: pipelineStatus(pipeline: $pipeline) ${FIELDS} }`;
const WATCH = `subscription ($pipeline: String!) { status: pipelineStatusUpdates(pipeline: $pipeline) ${FIELDS} }`;

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

/** Each way to subscribe: opens it and returns a function that waits for the status of a revision. */
const WATCHING = {
  'graphql-ws': async (t, pipeline) => {
    const socket = await GraphqlSocket.open(t, server);
    socket.subscribe('1', WATCH, { pipeline });
    return async (revision) => {
      const isIt = ({ payload }) => payload.data.status.revision === revision;
      return (await socket.socket.jsonUntil(`revision ${revision}`, isIt)).payload.data.status;
    };
  },
  'graphql-sse': async (t, pipeline) => {
    const stream = await Events.open(t, `${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: WATCH, variables: { pipeline } }),
    });
    return async (revision) => {
      const isIt = ({ data }) => JSON.parse(data).data.status.revision === revision;
      return JSON.parse((await stream.events.takeUntil(`revision ${revision}`, isIt)).data).data.status;
    };
  },
  'Server-Sent Events': async (t, pipeline) => {
    const stream = await Events.open(t, `${server.url}${PLAIN}/stream?pipeline=${pipeline}`);
    return async (revision) => {
      const isIt = ({ id }) => id === revision;
      return JSON.parse((await stream.events.takeUntil(`revision ${revision}`, isIt)).data);
    };
  },
  WebSocket: async (t, pipeline) => {
    const socket = await Socket.open(t, server.socketUrl(`/api/v1/ws/monitoring/pipeline-status?pipeline=${pipeline}`));
    return (revision) => socket.jsonUntil(`revision ${revision}`, (status) => status.revision === revision);
  },
};

/** Each way to poll. */
const ASKING = {
  polling: async (pipeline) => (await within(fetch(`${server.url}${PLAIN}?pipeline=${pipeline}`), 'a status')).json(),
  'GraphQL by POST': async (pipeline) => (await server.graphql(QUERY, { pipeline })).status,
  'GraphQL by GET': async (pipeline) => {
    const url = new URL('/graphql', server.url);
    url.searchParams.set('query', QUERY);
    url.searchParams.set('variables', JSON.stringify({ pipeline }));
    return (await (await within(fetch(url), 'a status')).json()).data.status;
  },
};

const REPORT = {
  articles_collected: 40,
  events_extracted: 30,
  geocoding_attempts: 30,
  geocoding_successes: 20,
  validation_attempts: 20,
  validation_passes: 19,
};

/** The content of a status in the form of the plain routes, from either form. */
function essence(status) {
  if (status.overall_status) {
    const { revision, overall_status: overall, scraping_health: health, data_quality: quality } = status;
    const { total_sources, articles_collected, events_extracted } = health;
    const { geocoding_success_rate, geocoding_attempts, validation_pass_rate, validation_passes } = quality;
    return {
      revision,
      overall,
      health: [health.status, total_sources, articles_collected, events_extracted],
      sources: health.sources.map(({ source, status, success_rate, last_run }) => [
        source,
        status,
        success_rate,
        last_run,
      ]),
      quality: [quality.status, geocoding_success_rate, geocoding_attempts, validation_pass_rate, validation_passes],
      basis: [quality.basis, quality.last_updated],
    };
  }
  const { revision, overallStatus, scrapingHealth: health, dataQuality: quality } = status;
  const word = (name) => name.toLowerCase().replaceAll('_', '-');
  const { geocodingSuccessRate, geocodingAttempts, validationPassRate, validationPasses } = quality;
  return {
    revision,
    overall: word(overallStatus),
    health: [word(health.status), health.totalSources, health.articlesCollected, health.eventsExtracted],
    sources: health.sources.map(({ source, status, successRate, lastRun }) => [
      source,
      word(status),
      successRate,
      lastRun,
    ]),
    quality: [word(quality.status), geocodingSuccessRate, geocodingAttempts, validationPassRate, validationPasses],
    basis: [word(quality.basis), quality.lastUpdated],
  };
}

for (const [way, open] of Object.entries(WATCHING)) {
  test(`subscriber by ${way} receives the status that polls return`, async (t) => {
    const pipeline = await server.pipeline();
    const statusOf = await open(t, pipeline);
    const revision = await server.report(pipeline, REPORT);
    const watched = essence(await statusOf(revision));
    for (const [asking, ask] of Object.entries(ASKING)) {
      assert.deepEqual(essence(await ask(pipeline)), watched, asking);
    }
    assert.equal(watched.health[2], 43);
  });

  test(`subscriber by ${way} after the change receives it immediately`, async (t) => {
    const pipeline = await server.pipeline();
    const revision = await server.report(pipeline, REPORT);
    const statusOf = await open(t, pipeline);
    assert.equal((await statusOf(revision)).revision, revision);
  });
}

test('all subscribers of a pipeline receive the same status of a change', async (t) => {
  const pipeline = await server.pipeline();
  const watchers = await Promise.all(Object.values(WATCHING).map((open) => open(t, pipeline)));
  const revision = await server.report(pipeline, REPORT);
  const seen = await Promise.all(watchers.map((statusOf) => statusOf(revision)));
  const [first, ...others] = seen.map(essence);
  for (const other of others) assert.deepEqual(other, first);
});

test('every poll after a report returns it', async () => {
  const pipeline = await server.pipeline();
  for (let round = 0; round < 10; round += 1) {
    const revision = await server.report(pipeline, REPORT);
    for (const [asking, ask] of Object.entries(ASKING)) {
      assert.equal((await ask(pipeline)).revision, revision, asking);
    }
  }
});
