import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { type DocumentNode, Kind, parse } from 'graphql';

const send = createGraphiQLFetcher({
  url: '/graphql',
  // Over graphql-transport-ws. Headers set on the page are sent in connection_init.
  subscriptionUrl: `${window.location.origin.replace(/^http/, 'ws')}/graphql`,
});

/**
 * After switching tabs, GraphiQL updates its operation name and document with a delay, so an operation that is run at once would
 * be sent with those of the previous tab. This derives both from the query text.
 */
export const fetcher: Fetcher = (params, options) => {
  const document = tryParse(params.query);
  if (!document) return send(params, options);
  const names = document.definitions.flatMap((it) =>
    it.kind === Kind.OPERATION_DEFINITION ? (it.name?.value ?? []) : [],
  );
  const { operationName: name, ...rest } = params;
  const operationName = name && names.includes(name) ? name : names[0];
  return send({ ...rest, ...(operationName && { operationName }) }, { ...options, documentAST: document });
};

/** Undefined for a syntax error, which the server reports. */
function tryParse(query: string): DocumentNode | undefined {
  try {
    return parse(query);
  } catch {
    return undefined;
  }
}
