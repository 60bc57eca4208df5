import { Skeleton, Title } from '@mantine/core';
import { memo, useState } from 'react';
import type { PipelineStatus } from '../../src/feed';
import { useStatusFeed } from '../../src/react';
import { formatAmount, formatCount, formatName } from '../../src/react/format';
import { ActiveAlerts } from '../components/active-alerts';
import { Checks, joinNames } from '../components/checks';
import { ConnectionStatus } from '../components/connection-status';
import { EmptyState } from '../components/empty-state';
import { HealthBadge } from '../components/health-badge';
import { lazyWithRetry } from '../components/lazy-with-retry';
import { OfflineBanner } from '../components/offline-banner';
import { PipelineSteps } from '../components/pipeline-steps';
import { type RunsBySource, SourcesTable } from '../components/sources-table';
import { Stat } from '../components/stat';
import { useDocumentTitle } from '../hooks/use-document-title';
import { hrefs } from '../router';

// Loads uPlot and Apollo, which are not part of the first view.
const Trend = lazyWithRetry(() => import('../components/trend'), <Skeleton height={280} radius="md" />);

/** The counts that have fields of their own in a report. */
const COUNT_LABELS: Record<string, string> = { articles: 'Articles collected', events: 'Events extracted' };

/** Memoised: renders for its own feed, not whenever the overview changes. */
export const Pipeline = memo(({ pipeline, isKiosk }: { pipeline: string; isKiosk: boolean }) => {
  const { status, receivedAt, connection, refresh } = useStatusFeed({ pipeline });
  useDocumentTitle(pipeline, status?.overallStatus ?? null, connection.state);
  // A removed pipeline has no status any more, even if one was shown before.
  if (connection.error?.kind === 'notFound') {
    return <EmptyState pipeline={pipeline} title={`Pipeline “${pipeline}” ${status ? 'was removed' : 'not found'}`} />;
  }
  return (
    <>
      <div className="heading">
        <div>
          {!isKiosk && (
            <a href={hrefs.overview} className="muted">
              All pipelines
            </a>
          )}
          <div className="title-row">
            <Title order={1} size="h2">
              {pipeline}
            </Title>
            {status && <HealthBadge health={status.overallStatus} />}
          </div>
        </div>
        <ConnectionStatus connection={connection} receivedAt={receivedAt} refresh={isKiosk ? undefined : refresh} />
      </div>
      <OfflineBanner connection={connection} receivedAt={receivedAt} hasData={status !== null} retry={refresh} />
      {status ? <Details status={status} isKiosk={isKiosk} /> : connection.state !== 'disconnected' && <Skeletons />}
    </>
  );
});
Pipeline.displayName = 'Pipeline';

function Details({ status, isKiosk }: { status: PipelineStatus; isKiosk: boolean }) {
  const { scrapingHealth: health } = status;
  const [runs, setRuns] = useState<RunsBySource>(new Map());
  if (health.totalSources === 0) return <EmptyState pipeline={status.pipeline} />;
  return (
    <>
      <ActiveAlerts status={status} />
      <dl className="stats">
        <Stat name="Sources processed" detail={`of ${formatCount(health.totalSources)}`}>
          {formatCount(health.sourcesProcessed)}
        </Stat>
        {health.counts.map(({ name, value }) => (
          <Stat key={name} name={COUNT_LABELS[name] ?? formatName(name)}>
            {formatAmount(name, value)}
          </Stat>
        ))}
        <Stat name="Failed sources">{formatCount(health.failedSources)}</Stat>
        <Stat name="Stale sources">{formatCount(health.staleSources)}</Stat>
      </dl>
      <PipelineSteps steps={status.steps} />
      <Checks status={status} />
      <Trend
        pipeline={status.pipeline}
        revision={status.revision}
        timestamp={status.timestamp}
        checks={joinNames(status.dataQuality.checks)}
        counts={joinNames(health.counts)}
        isKiosk={isKiosk}
        onRuns={setRuns}
      />
      {!isKiosk && <SourcesTable pipeline={status.pipeline} health={health} timestamp={status.timestamp} runs={runs} />}
    </>
  );
}

function Skeletons() {
  return (
    <div aria-busy="true" role="status" aria-label="Loading" className="skeletons">
      <Skeleton height={96} radius="md" />
      <Skeleton height={120} radius="md" />
      <Skeleton height={280} radius="md" />
    </div>
  );
}
