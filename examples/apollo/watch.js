// Prints every status of a pipeline, received with Apollo Client, until Ctrl-C.
//
//     npm install && node watch.js [PIPELINE]
//
// PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const { PIPEWATCH_URL = 'http://127.0.0.1:8000', PIPEWATCH_TOKEN: token } = process.env;
const [pipeline = 'demo'] = process.argv.slice(2);

const socket = createClient({
  url: `${PIPEWATCH_URL.replace(/^http/, 'ws')}/graphql`,
  // Node.js has a global WebSocket since version 22.
  webSocketImpl: globalThis.WebSocket ?? WebSocket,
  connectionParams: token ? { token } : undefined,
  retryAttempts: Infinity,
  shouldRetry: () => true,
});
const client = new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });

const query = gql`
  subscription ($pipeline: String!) {
    pipelineStatusUpdates(pipeline: $pipeline) {
      revision
      overallStatus
    }
  }
`;
client.subscribe({ query, variables: { pipeline } }).subscribe(({ data, error }) => {
  if (error) throw error;
  const { revision, overallStatus } = data.pipelineStatusUpdates;
  console.log(`${revision} ${overallStatus}`);
});
