import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { typePolicies } from '../src/apollo';
import { storedToken } from './token';

/** Loads lists and histories. Live statuses come from the feeds. */
export const client = new ApolloClient({
  cache: new InMemoryCache({
    typePolicies: {
      ...typePolicies,
      Query: {
        fields: {
          ...typePolicies.Query?.fields,
          sourceRuns: {
            // The pages of a list are one field; each page is appended.
            keyArgs: ['pipeline', 'source', 'outcome', 'from', 'to', 'first'],
            merge: (existing, incoming, { args }) =>
              args?.after && existing ? { ...incoming, nodes: [...existing.nodes, ...incoming.nodes] } : incoming,
          },
        },
      },
    },
  }),
  link: new HttpLink({
    uri: '/graphql',
    fetch: (input, init) => {
      const token = storedToken();
      const headers = new Headers(init?.headers);
      if (token) headers.set('authorization', `Bearer ${token}`);
      return fetch(input, { ...init, headers });
    },
  }),
});
