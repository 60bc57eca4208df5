// Prints every status of a pipeline, received with Apollo Client over HTTP (multipart subscriptions), until Ctrl-C.
//
//     npm install && node watch.js [PIPELINE]
//
// PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';

const { PIPEWATCH_URL = 'http://127.0.0.1:8000', PIPEWATCH_TOKEN: token } = process.env;
const [pipeline = 'demo'] = process.argv.slice(2);

const client = new ApolloClient({
  link: new HttpLink({
    uri: `${PIPEWATCH_URL}/graphql`,
    headers: token ? { authorization: `Bearer ${token}` } : {},
  }),
  cache: new InMemoryCache(),
});

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
