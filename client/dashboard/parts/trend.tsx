import { useQuery } from '@apollo/client/react';
import { Title } from '@mantine/core';
import { useEffect, useMemo, useState } from 'react';
import { counted } from '../../src/react/words';
import { client, RECENT_RUNS } from '../apollo';
import type { RecentRunsQuery } from '../generated';
import { bucketsOf } from './buckets';
import { Charts } from './charts';
import { useFollowing } from './following';
import { History } from './history';
import { SpanChoice } from './span-choice';
import type { Span } from './spans';

/** As many as the server gives in a page: the history of roll-ups will go further back. */
const RUNS = 500;
const RUNS_SHOWN = 'Last runs';
const CHOICES = [RUNS_SHOWN, '24 h', '7 d', '90 d'] as const satisfies readonly (Span | string)[];

type Run = RecentRunsQuery['sourceRuns']['nodes'][number];

export interface TrendProps {
  pipeline: string;
  revision: string;
  timestamp: string;
  /** The names of its checks, with commas between them. */
  checks: string;
  /** Nobody is there to choose how far back. */
  isKiosk: boolean;
  /** The last runs of each source, the newest first. */
  onRuns(bySource: ReadonlyMap<string, readonly Run[]>): void;
}

/** Rates and volumes of the last runs. */
export default function Trend({ pipeline, revision, timestamp, checks, isKiosk, onRuns }: TrendProps) {
  const { data, error, refetch } = useQuery(RECENT_RUNS, {
    client,
    variables: { pipeline, first: RUNS },
    // Hundreds of runs that nobody else reads: into the cache and out of it they would cost more than all the rest.
    fetchPolicy: 'no-cache',
  });
  // What failed is asked for again with the next status, whatever its revision.
  useFollowing(error ? `${revision} ${timestamp}` : revision, refetch);
  const [choice, setChoice] = useState<(typeof CHOICES)[number]>(RUNS_SHOWN);
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
        <div className="name">
          <Title order={2} size="h4" id="trend">
            Trend
          </Title>
          <span className="dim">
            {choice === RUNS_SHOWN && runs && `${isPart ? 'the last ' : ''}${counted(runs.length, 'run')}`}
          </span>
        </div>
        {!isKiosk && <SpanChoice spans={CHOICES} chosen={choice} onChoose={setChoice} />}
      </div>
      {choice !== RUNS_SHOWN ? (
        <History pipeline={pipeline} span={choice} checks={checks} revision={revision} />
      ) : buckets.from.length < 2 ? (
        <p className="dim">{runs ? 'Too few runs for a trend yet.' : 'Loading…'}</p>
      ) : (
        <Charts buckets={buckets} />
      )}
    </section>
  );
}

function group(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.source, [...(groups.get(run.source) ?? []), run]);
  return groups;
}
