import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { EXAMPLES } from './examples';
import { fetcher } from './fetcher';

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
