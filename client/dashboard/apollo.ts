import { ApolloClient, gql, HttpLink, InMemoryCache, type TypedDocumentNode } from '@apollo/client';
import { typePolicies } from '../src/apollo';
import {
  RecentRunsDocument,
  type RecentRunsQuery,
  type RecentRunsQueryVariables,
  RunsOfSourceDocument,
  type RunsOfSourceQuery,
  type RunsOfSourceQueryVariables,
} from './generated';

/** What is asked once: lists and histories. What is live comes by the feeds. */
export const client = new ApolloClient({
  cache: new InMemoryCache({
    typePolicies: {
      ...typePolicies,
      Query: {
        fields: {
          ...typePolicies.Query?.fields,
          sourceRuns: {
            // Pages of one list are one field, to which the next is appended.
            keyArgs: ['pipeline', 'source', 'outcome', 'from', 'to', 'first'],
            merge: (existing, incoming, { args }) =>
              args?.after && existing ? { ...incoming, nodes: [...existing.nodes, ...incoming.nodes] } : incoming,
          },
        },
      },
    },
  }),
  link: new HttpLink({ uri: '/graphql' }),
});

export const RECENT_RUNS: TypedDocumentNode<RecentRunsQuery, RecentRunsQueryVariables> = gql(RecentRunsDocument);
export const RUNS_OF_SOURCE: TypedDocumentNode<RunsOfSourceQuery, RunsOfSourceQueryVariables> =
  gql(RunsOfSourceDocument);
