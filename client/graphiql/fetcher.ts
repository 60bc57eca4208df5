import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { type DocumentNode, Kind, parse } from 'graphql';

const send = createGraphiQLFetcher({
  url: '/graphql',
  // Over graphql-transport-ws; a header that is set on the page goes along when the connection begins.
  subscriptionUrl: `${window.location.origin.replace(/^http/, 'ws')}/graphql`,
});

/**
 * GraphiQL reads the text of another tab a moment after it shows it: who runs it at once would run it under the name of the
 * last tab's operation, and a query over a WebSocket. What is sent is of the text that is there.
 */
export const fetcher: Fetcher = (params, options) => {
  const document = parsed(params.query);
  if (!document) return send(params, options);
  const names = document.definitions.flatMap((it) =>
    it.kind === Kind.OPERATION_DEFINITION ? (it.name?.value ?? []) : [],
  );
  const { operationName: name, ...rest } = params;
  const operationName = name && names.includes(name) ? name : names[0];
  return send({ ...rest, ...(operationName && { operationName }) }, { ...options, documentAST: document });
};

/** Nothing for what the server will refuse. */
function parsed(query: string): DocumentNode | undefined {
  try {
    return parse(query);
  } catch {
    return undefined;
  }
}
