import { ApolloClient, gql, HttpLink, InMemoryCache, type TypedDocumentNode } from '@apollo/client';
import { typePolicies } from '../src/apollo';
import {
  AcknowledgeDocument,
  type AcknowledgeMutation,
  type AcknowledgeMutationVariables,
  AlertsDocument,
  type AlertsQuery,
  type AlertsQueryVariables,
  CheckHistoryDocument,
  type CheckHistoryQuery,
  type CheckHistoryQueryVariables,
  EndSilenceDocument,
  type EndSilenceMutation,
  type EndSilenceMutationVariables,
  HistoryDocument,
  type HistoryQuery,
  type HistoryQueryVariables,
  RecentRunsDocument,
  type RecentRunsQuery,
  type RecentRunsQueryVariables,
  RunsOfSourceDocument,
  type RunsOfSourceQuery,
  type RunsOfSourceQueryVariables,
  SilenceDocument,
  type SilenceMutation,
  type SilenceMutationVariables,
} from './generated';
import { storedToken } from './token';

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

export const RECENT_RUNS: TypedDocumentNode<RecentRunsQuery, RecentRunsQueryVariables> = gql(RecentRunsDocument);
export const RUNS_OF_SOURCE: TypedDocumentNode<RunsOfSourceQuery, RunsOfSourceQueryVariables> =
  gql(RunsOfSourceDocument);
export const ALERTS: TypedDocumentNode<AlertsQuery, AlertsQueryVariables> = gql(AlertsDocument);
export const ACKNOWLEDGE: TypedDocumentNode<AcknowledgeMutation, AcknowledgeMutationVariables> =
  gql(AcknowledgeDocument);
export const SILENCE: TypedDocumentNode<SilenceMutation, SilenceMutationVariables> = gql(SilenceDocument);
export const END_SILENCE: TypedDocumentNode<EndSilenceMutation, EndSilenceMutationVariables> = gql(EndSilenceDocument);
export const CHECK_HISTORY: TypedDocumentNode<CheckHistoryQuery, CheckHistoryQueryVariables> =
  gql(CheckHistoryDocument);
export const HISTORY: TypedDocumentNode<HistoryQuery, HistoryQueryVariables> = gql(HistoryDocument);
