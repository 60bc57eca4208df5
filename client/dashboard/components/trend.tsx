import { useQuery } from '@apollo/client/react';
import { Title } from '@mantine/core';
import { useEffect, useMemo, useState } from 'react';
import { formatCount, pluralize } from '../../src/react/format';
import { client } from '../apollo-client';
import { RecentRunsDocument, type RecentRunsQuery } from '../generated';
import { useRefetchOnRevision } from '../hooks/use-refetch-on-revision';
import { runBuckets } from '../model/run-buckets';
import type { TimeRange } from '../model/time-ranges';
import { History } from './history';
import { TimeRangePicker } from './time-range-picker';
import { TrendCharts } from './trend-charts';

/** More would exceed the cost of an operation; the time ranges go further back. */
const MAX_RUNS = 300;
const LAST_RUNS = 'Last runs';
const OPTIONS = [LAST_RUNS, '24 h', '7 d', '90 d'] as const satisfies readonly (TimeRange | string)[];

type Run = RecentRunsQuery['sourceRuns']['nodes'][number];

interface TrendProps {
  pipeline: string;
  revision: string;
  timestamp: string;
  /** The names of the status's checks, joined by commas. */
  checks: string;
  /** The names of the status's counts, joined by commas. */
  counts: string;
  isKiosk: boolean;
  /** Called with the last runs of each source, the newest first. */
  onRuns(bySource: ReadonlyMap<string, readonly Run[]>): void;
}

/** Charts of the last runs or of a time range. */
export default function Trend({ pipeline, revision, timestamp, checks, counts, isKiosk, onRuns }: TrendProps) {
  const { data, error, refetch } = useQuery(RecentRunsDocument, {
    client,
    variables: { pipeline, first: MAX_RUNS },
    // No other component reads these hundreds of runs, and caching them would cost more than everything else.
    fetchPolicy: 'no-cache',
  });
  // After a failure the next status triggers a retry, even with the same revision.
  useRefetchOnRevision(error ? `${revision} ${timestamp}` : revision, refetch);
  const [selected, setSelected] = useState<(typeof OPTIONS)[number]>(LAST_RUNS);
  const runs = data?.sourceRuns.nodes;
  const buckets = useMemo(() => runBuckets(runs ?? []), [runs]);
  useEffect(() => {
    if (runs) onRuns(groupBySource(runs));
  }, [runs, onRuns]);

  if (error && !data) return <p className="muted">Failed to load the trend. Retrying with the next status update.</p>;
  const isTruncated = data?.sourceRuns.pageInfo.hasNextPage ?? false;
  return (
    <section aria-labelledby="trend">
      <div className="heading">
        <div className="title-row">
          <Title order={2} size="h4" id="trend">
            Trend
          </Title>
          <span className="muted">
            {selected === LAST_RUNS &&
              runs &&
              (isTruncated ? `last ${formatCount(runs.length)} runs` : pluralize(runs.length, 'run'))}
          </span>
        </div>
        {!isKiosk && <TimeRangePicker options={OPTIONS} selected={selected} onSelect={setSelected} />}
      </div>
      {selected !== LAST_RUNS ? (
        <History pipeline={pipeline} timeRange={selected} checks={checks} counts={counts} revision={revision} />
      ) : buckets.from.length < 2 ? (
        <p className="muted">{runs ? 'Not enough runs for a trend yet.' : 'Loading…'}</p>
      ) : (
        <TrendCharts buckets={buckets} />
      )}
    </section>
  );
}

function groupBySource(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.source, [...(groups.get(run.source) ?? []), run]);
  return groups;
}
