import { useQuery } from '@apollo/client/react';
import { Button, Title } from '@mantine/core';
import { useState } from 'react';
import { useStatusFeed } from '../../src/react';
import { formatPercent, pluralize } from '../../src/react/format';
import { client } from '../apollo-client';
import { joinNames } from '../components/checks';
import { ConnectionStatus } from '../components/connection-status';
import { HealthBadge } from '../components/health-badge';
import { History } from '../components/history';
import { OfflineBanner } from '../components/offline-banner';
import { RunsTable } from '../components/runs-table';
import { TimeRangePicker } from '../components/time-range-picker';
import { SourceRunsDocument } from '../generated';
import { useDocumentTitle } from '../hooks/use-document-title';
import type { TimeRange } from '../model/time-ranges';
import { hrefs } from '../router';

const PAGE_SIZE = 50;
const TIME_RANGES: readonly TimeRange[] = ['24 h', '7 d', '90 d'];
/** One source: its history and its runs with their errors. */
export default function Source({ pipeline, source }: { pipeline: string; source: string }) {
  const { status, receivedAt, connection, refresh } = useStatusFeed({ pipeline });
  const sourceStatus = status?.scrapingHealth.sources.find((it) => it.source === source);
  useDocumentTitle(`${source} · ${pipeline}`, sourceStatus?.status ?? null, connection.state);
  const { data, error, fetchMore, refetch } = useQuery(SourceRunsDocument, {
    client,
    variables: { pipeline, source, first: PAGE_SIZE },
    fetchPolicy: 'cache-and-network',
  });
  const [isLoading, setLoading] = useState(false);
  const [timeRange, setTimeRange] = useState<TimeRange>('24 h');
  const runs = data?.sourceRuns.nodes ?? [];
  const loadMore = async () => {
    setLoading(true);
    await fetchMore({ variables: { after: data?.sourceRuns.pageInfo.endCursor ?? null } }).catch(() => {});
    setLoading(false);
  };
  const onRefresh = () => Promise.all([refresh(), refetch().catch(() => {})]);
  return (
    <>
      <div className="heading">
        <div>
          <a href={hrefs.pipeline(pipeline)} className="muted">
            {pipeline}
          </a>
          <div className="title-row">
            <Title order={1} size="h2">
              {source}
            </Title>
            {sourceStatus && <HealthBadge health={sourceStatus.status} />}
          </div>
          {sourceStatus && (
            <p className="muted numeric">
              {pluralize(sourceStatus.runs, 'run')} in the window, {formatPercent(sourceStatus.successRate)} succeeded
              {sourceStatus.stale && '; stale'}
            </p>
          )}
        </div>
        <ConnectionStatus connection={connection} receivedAt={receivedAt} refresh={onRefresh} />
      </div>
      <OfflineBanner connection={connection} receivedAt={receivedAt} hasData={status !== null} />
      {error && !data && <p role="alert">Failed to load the runs: {error.message}</p>}
      {data && runs.length === 0 && <p>No runs of this source yet.</p>}
      {status && (
        <section aria-labelledby="history">
          <div className="heading">
            <Title order={2} size="h4" id="history">
              History
            </Title>
            <TimeRangePicker options={TIME_RANGES} selected={timeRange} onSelect={setTimeRange} />
          </div>
          <History
            pipeline={pipeline}
            source={source}
            timeRange={timeRange}
            checks={joinNames(status.dataQuality.checks)}
            counts={joinNames(status.scrapingHealth.counts)}
            revision={status.revision}
          />
        </section>
      )}
      {runs.length > 0 && (
        <Title order={2} size="h4" mt="xl" mb="sm">
          Runs
        </Title>
      )}
      {runs.length > 0 && <RunsTable runs={runs} />}
      {data?.sourceRuns.pageInfo.hasNextPage && (
        <Button variant="default" onClick={loadMore} loading={isLoading}>
          Show older runs
        </Button>
      )}
    </>
  );
}
