import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { EXAMPLES } from './examples';

const fetcher = createGraphiQLFetcher({
  url: '/graphql',
  // Over graphql-transport-ws; a header that is set on the page goes along when the connection begins.
  subscriptionUrl: `${window.location.origin.replace(/^http/, 'ws')}/graphql`,
});

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <GraphiQL fetcher={fetcher} defaultTabs={EXAMPLES} shouldPersistHeaders={false}>
      <GraphiQL.Logo>
        <a href="/">Pipewatch</a>
      </GraphiQL.Logo>
    </GraphiQL>,
  );
}
