import { useQuery } from '@apollo/client/react';
import { Button, Table, Title } from '@mantine/core';
import { useState } from 'react';
import { useStatusFeed } from '../../src/react';
import { formatCount, formatDuration, formatPercent, pluralize } from '../../src/react/format';
import { client } from '../apollo-client';
import { joinCheckNames } from '../components/checks';
import { ConnectionStatus } from '../components/connection-status';
import { HealthBadge } from '../components/health-badge';
import { History } from '../components/history';
import { OfflineBanner } from '../components/offline-banner';
import { TimeRangePicker } from '../components/time-range-picker';
import { SourceRunsDocument, type SourceRunsQuery } from '../generated';
import { useDocumentTitle } from '../hooks/use-document-title';
import { formatTime } from '../model/format-time';
import type { TimeRange } from '../model/time-ranges';
import { hrefs } from '../router';

type Run = SourceRunsQuery['sourceRuns']['nodes'][number];

const PAGE_SIZE = 50;
const TIME_RANGES: readonly TimeRange[] = ['24 h', '7 d', '90 d'];
const STATE_HEALTH = { RUNNING: 'PENDING', OK: 'HEALTHY', FAILED: 'ERROR', ABORTED: 'WARNING', LOST: 'ERROR' } as const;

const STATE_LABELS = { RUNNING: 'Running', OK: 'OK', FAILED: 'Failed', ABORTED: 'Aborted', LOST: 'Lost' } as const;

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
            checks={joinCheckNames(status.dataQuality.checks)}
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

function RunsTable({ runs }: { runs: readonly Run[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
    <section className="scroll-x" tabIndex={0} aria-label="Runs table">
      <Table className="data-table">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Finished</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Error</Table.Th>
            <Table.Th>Duration</Table.Th>
            <Table.Th>Articles</Table.Th>
            <Table.Th>Events</Table.Th>
            <Table.Th>Geocoding</Table.Th>
            <Table.Th>Validation</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td className="numeric">
                <span className="nowrap">{run.finishedAt ? formatTime(run.finishedAt, 'second') : '–'}</span>{' '}
                {run.backfill && <span className="muted">backfill</span>}
              </Table.Td>
              <Table.Td>
                <span className="health" data-health={STATE_HEALTH[run.state]}>
                  <span>{STATE_LABELS[run.state]}</span>
                </span>
              </Table.Td>
              <Table.Td className="error">{run.error ?? ''}</Table.Td>
              <Table.Td className="numeric">{runDuration(run)}</Table.Td>
              <Table.Td className="numeric">{formatOptional(run.articlesCollected)}</Table.Td>
              <Table.Td className="numeric">{formatOptional(run.eventsExtracted)}</Table.Td>
              <Table.Td className="numeric">{formatRatio(run.geocodingSuccesses, run.geocodingAttempts)}</Table.Td>
              <Table.Td className="numeric">{formatRatio(run.validationPasses, run.validationAttempts)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

function formatOptional(value: number | null): string {
  return value === null ? '–' : formatCount(value);
}

function formatRatio(successes: number | null, attempts: number | null): string {
  return attempts === null ? '–' : `${formatCount(successes ?? 0)} of ${formatCount(attempts)}`;
}

function runDuration({ startedAt, finishedAt }: Run): string {
  if (!startedAt || !finishedAt) return '–';
  return formatDuration(Math.round((Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000));
}
