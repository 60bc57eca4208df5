/** Writes what a feed brings into an Apollo cache, so that every component reads the same status through ordinary queries. */
import { type ApolloCache, type FieldMergeFunction, gql, type Reference, type TypePolicies } from '@apollo/client';
import { compare, type Feed, type PipelineStatus, type PipelineSummary } from '../feed';
import { PipelineStatusDocument, PipelinesDocument } from '../generated/documents';

const STATUS = gql(PipelineStatusDocument);
const PIPELINES = gql(PipelinesDocument);

/** A query may leave out what the feed writes, and the other way round; but an older answer never replaces a newer one. */
const newest: FieldMergeFunction = (existing, incoming, { mergeObjects, readField }) => {
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
      // Without an argument it is the pipeline `default`.
      pipelineStatus: { keyArgs: (args) => `of:${args?.pipeline ?? 'default'}`, merge: newest },
      pipelines: { merge: false },
    },
  },
  PipelineStatus: { keyFields: false, fields: { scrapingHealth: { merge: true }, dataQuality: { merge: true } } },
  ScrapingHealth: { fields: { sources: { keyArgs: (args) => (args?.all ? 'all' : 'worst'), merge: false } } },
  SourceStatus: { keyFields: false },
  CheckStatus: { keyFields: false },
  PipelineStep: { keyFields: false },
  PipelineSummary: { keyFields: false },
  // Their ids are those of a pipeline's, and a status has them whole.
  Alert: { keyFields: false },
  Anomaly: { keyFields: false },
};

/**
 * Writes each status of the feed into the cache until the function that it returns is called. The feed is connected meanwhile.
 *
 * @param sources as the feed was created with
 */
export function writeStatus(feed: Feed<PipelineStatus>, cache: ApolloCache, sources: 'worst' | 'all' = 'worst') {
  return follow(feed, (status) =>
    cache.writeQuery({
      query: STATUS,
      variables: { pipeline: status.pipeline, all: sources === 'all' },
      data: { pipelineStatus: named(status) },
    }),
  );
}

/** The same for the overview of all pipelines. */
export function writeOverview(feed: Feed<readonly PipelineSummary[]>, cache: ApolloCache) {
  return follow(feed, (list) =>
    cache.writeQuery({
      query: PIPELINES,
      data: { pipelines: list.map((it) => ({ __typename: 'PipelineSummary', ...it })) },
    }),
  );
}

function follow<T>(feed: Feed<T>, write: (value: T) => void) {
  let last: T | null = null;
  const look = () => {
    const { value } = feed.getSnapshot();
    if (value !== null && value !== last) {
      last = value;
      write(value);
    }
  };
  look();
  return feed.subscribe(look);
}

/** The feed does not ask for the names of types, which it knows; Apollo reads nothing without them. */
function named(status: PipelineStatus) {
  const { scrapingHealth, dataQuality, steps, anomalies, alerts } = status;
  const all = <T extends object>(__typename: string, list: readonly T[]) => list.map((it) => ({ __typename, ...it }));
  return {
    __typename: 'PipelineStatus',
    ...status,
    scrapingHealth: {
      __typename: 'ScrapingHealth',
      ...scrapingHealth,
      sources: all('SourceStatus', scrapingHealth.sources),
    },
    dataQuality: { __typename: 'DataQuality', ...dataQuality, checks: all('CheckStatus', dataQuality.checks) },
    steps: all('PipelineStep', steps),
    anomalies: all('Anomaly', anomalies),
    alerts: all('Alert', alerts),
  };
}
