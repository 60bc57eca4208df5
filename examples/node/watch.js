// Prints every status of a pipeline, received over graphql-transport-ws with npm graphql-ws, until Ctrl-C.
//
//     npm install && node watch.js [PIPELINE]
//
// PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const { PIPEWATCH_URL = 'http://127.0.0.1:8000', PIPEWATCH_TOKEN: token } = process.env;
const [pipeline = 'demo'] = process.argv.slice(2);

const client = createClient({
  url: `${PIPEWATCH_URL.replace(/^http/, 'ws')}/graphql`,
  // Node.js has a global WebSocket since version 22.
  webSocketImpl: globalThis.WebSocket ?? WebSocket,
  connectionParams: token ? { token } : undefined,
  // Reconnects without limit. Nothing is lost: the newest status arrives first after every reconnect.
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

const query = `subscription ($pipeline: String!) {
  pipelineStatusUpdates(pipeline: $pipeline) {
    revision
    overallStatus
    scrapingHealth { sourcesProcessed totalSources articlesCollected }
  }
}`;

for await (const { data, errors } of client.iterate({ query, variables: { pipeline } })) {
  if (errors) throw new Error(errors.map(({ message }) => message).join('; '));
  const { revision, overallStatus, scrapingHealth: health } = data.pipelineStatusUpdates;
  console.log(
    `${revision} ${overallStatus}: ${health.sourcesProcessed} of ${health.totalSources} sources, ` +
      `${health.articlesCollected} articles`,
  );
}
