import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { client, HISTORY } from '../apollo';
import { Charts } from './charts';
import { useFollowing } from './following';
import { historyOf, rangeOf, type Span } from './spans';

export interface HistoryProps {
  pipeline: string;
  source?: string;
  span: Span;
  /** Of the newest status: a change is followed. */
  revision: string;
}

/** The roll-ups of a pipeline or of one of its sources. */
export function History({ pipeline, source, span, revision }: HistoryProps) {
  // The range moves with the hour: the variables must not change with each rendering.
  const hour = Math.floor(Date.now() / 3_600_000);
  const range = useMemo(() => rangeOf(span, hour * 3_600_000), [span, hour]);
  const iso = (seconds: number) => new Date(seconds * 1_000).toISOString();
  const { data, error, refetch } = useQuery(HISTORY, {
    client,
    variables: { pipeline, source: source ?? null, from: iso(range.from), to: iso(range.to), bucket: range.bucket },
    fetchPolicy: 'no-cache',
  });
  useFollowing(error ? `${revision} ${Boolean(error)}` : revision, refetch);
  const buckets = useMemo(() => data && historyOf(data as Parameters<typeof historyOf>[0], range), [data, range]);
  if (error && !data) return <p className="dim">The history could not be loaded: {error.message}</p>;
  if (!buckets) return <p className="dim">Loading…</p>;
  return <Charts buckets={buckets} hasGaps />;
}
