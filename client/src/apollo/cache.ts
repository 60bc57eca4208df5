import { type ApolloCache, type FieldMergeFunction, gql, type Reference, type TypePolicies } from '@apollo/client';
import { compare, type Feed, type PipelineStatus, type PipelineSummary } from '../feed';
import { PipelineStatusDocument, PipelinesDocument } from '../generated/documents';

const STATUS_QUERY = gql(PipelineStatusDocument);
const PIPELINES_QUERY = gql(PipelinesDocument);

/** Merges the fields of different queries, but never replaces a newer status by an older response. */
const keepNewest: FieldMergeFunction = (existing, incoming, { mergeObjects, readField }) => {
  if (!existing) return incoming;
  const version = (it: Reference) => ({
    revision: readField<string>('revision', it),
    timestamp: readField<string>('timestamp', it),
  });
  const [before, after] = [version(existing), version(incoming)];
  const isOlder =
    before.revision && before.timestamp && after.revision && after.timestamp
      ? compare(after as PipelineStatus, before as PipelineStatus) < 0
      : false;
  return isOlder ? existing : mergeObjects(existing, incoming);
};

/** For `new InMemoryCache({ typePolicies })`. */
export const typePolicies: TypePolicies = {
  Query: {
    fields: {
      // The pipeline alone identifies the field: `sinceRevision` does not change what it is.
      pipelineStatus: { keyArgs: (args) => `pipeline:${args?.pipeline ?? 'default'}`, merge: keepNewest },
      pipelines: { merge: false },
    },
  },
  PipelineStatus: { keyFields: false, fields: { scrapingHealth: { merge: true }, dataQuality: { merge: true } } },
  ScrapingHealth: { fields: { sources: { keyArgs: (args) => (args?.all ? 'all' : 'worst'), merge: false } } },
  SourceStatus: { keyFields: false },
  CheckStatus: { keyFields: false },
  PipelineStep: { keyFields: false },
  PipelineSummary: { keyFields: false },
  // Their ids are unique only within a pipeline, and every status contains them in full.
  Alert: { keyFields: false },
  Anomaly: { keyFields: false },
};

/**
 * Writes every status of the feed into the cache, and keeps the feed connected, until the returned function is called.
 *
 * @param sources the option that the feed was created with
 */
export function writeStatus(feed: Feed<PipelineStatus>, cache: ApolloCache, sources: 'worst' | 'all' = 'worst') {
  return writeOnChange(feed, (status) =>
    cache.writeQuery({
      query: STATUS_QUERY,
      variables: { pipeline: status.pipeline, all: sources === 'all' },
      data: { pipelineStatus: withTypenames(status) },
    }),
  );
}

/** The same for the overview of all pipelines. */
export function writeOverview(feed: Feed<readonly PipelineSummary[]>, cache: ApolloCache) {
  return writeOnChange(feed, (list) =>
    cache.writeQuery({
      query: PIPELINES_QUERY,
      data: { pipelines: list.map((it) => ({ __typename: 'PipelineSummary', ...it })) },
    }),
  );
}

function writeOnChange<T>(feed: Feed<T>, write: (value: T) => void) {
  let last: T | null = null;
  const onChange = () => {
    const { value } = feed.getSnapshot();
    if (value !== null && value !== last) {
      last = value;
      write(value);
    }
  };
  onChange();
  return feed.subscribe(onChange);
}

/** The feed's documents omit `__typename`, which Apollo needs. */
function withTypenames(status: PipelineStatus) {
  const { scrapingHealth, dataQuality, steps, anomalies, alerts } = status;
  const each = <T extends object>(__typename: string, list: readonly T[]) => list.map((it) => ({ __typename, ...it }));
  return {
    __typename: 'PipelineStatus',
    ...status,
    scrapingHealth: {
      __typename: 'ScrapingHealth',
      ...scrapingHealth,
      sources: each('SourceStatus', scrapingHealth.sources),
    },
    dataQuality: { __typename: 'DataQuality', ...dataQuality, checks: each('CheckStatus', dataQuality.checks) },
    steps: each('PipelineStep', steps),
    anomalies: each('Anomaly', anomalies),
    alerts: each('Alert', alerts),
  };
}
