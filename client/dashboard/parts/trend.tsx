import { useQuery } from '@apollo/client/react';
import { Title } from '@mantine/core';
import { useEffect, useMemo, useRef } from 'react';
import { client, RECENT_RUNS } from '../apollo';
import type { RecentRunsQuery } from '../generated';
import { bucketsOf } from './buckets';
import { Chart } from './chart';

/** As many as the server gives in a page: the history of roll-ups will go further back. */
const RUNS = 500;
/** A pipeline that changes all the time is asked for its runs no more often. */
const PAUSE = 5_000;

type Run = RecentRunsQuery['sourceRuns']['nodes'][number];

export interface TrendProps {
  pipeline: string;
  revision: string;
  timestamp: string;
  /** The last runs of each source, the newest first. */
  onRuns(bySource: ReadonlyMap<string, readonly Run[]>): void;
}

/** Rates and volumes of the last runs. */
export default function Trend({ pipeline, revision, timestamp, onRuns }: TrendProps) {
  const { data, error, refetch } = useQuery(RECENT_RUNS, {
    client,
    variables: { pipeline, first: RUNS },
    // Hundreds of runs that nobody else reads: into the cache and out of it they would cost more than all the rest.
    fetchPolicy: 'no-cache',
  });
  // What failed is asked for again with the next status, whatever its revision.
  useFollowing(error ? `${revision} ${timestamp}` : revision, refetch);
  const runs = data?.sourceRuns.nodes;
  const buckets = useMemo(() => bucketsOf(runs ?? []), [runs]);
  useEffect(() => {
    if (runs) onRuns(group(runs));
  }, [runs, onRuns]);

  if (error && !data)
    return <p className="dim">The trend could not be loaded. It is tried again with the next status.</p>;
  const isPart = data?.sourceRuns.pageInfo.hasNextPage ?? false;
  return (
    <section aria-labelledby="trend">
      <div className="heading">
        <Title order={2} size="h4" id="trend">
          Trend
        </Title>
        <span className="dim">{runs && (isPart ? `the last ${runs.length} runs` : `all ${runs.length} runs`)}</span>
      </div>
      {buckets.from.length < 2 ? (
        <p className="dim">{runs ? 'Too few runs for a trend yet.' : 'Loading…'}</p>
      ) : (
        <div className="charts">
          <Chart
            title="Rates"
            from={buckets.from}
            unit="%"
            lines={[
              { name: 'Geocoding', values: buckets.geocoding, color: 1 },
              { name: 'Validation', values: buckets.validation, color: 2 },
            ]}
          />
          <Chart
            title="Volumes"
            from={buckets.from}
            lines={[
              { name: 'Articles', values: buckets.articles, color: 1 },
              { name: 'Events', values: buckets.events, color: 2 },
            ]}
          />
        </div>
      )}
    </section>
  );
}

function group(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.source, [...(groups.get(run.source) ?? []), run]);
  return groups;
}

/** Asks again after a change, and not more often than with a pause. */
function useFollowing(revision: string, refetch: () => Promise<unknown>) {
  const shown = useRef(revision);
  const asked = useRef(0);
  useEffect(() => {
    if (shown.current === revision) return;
    const wait = Math.max(0, asked.current + PAUSE - Date.now());
    const timer = setTimeout(() => {
      shown.current = revision;
      asked.current = Date.now();
      // What is shown stays; the connection says what is wrong.
      refetch().catch(() => {});
    }, wait);
    return () => clearTimeout(timer);
  }, [revision, refetch]);
}
