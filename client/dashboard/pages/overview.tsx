import { Card, Title } from '@mantine/core';
import { memo } from 'react';
import type { FeedSnapshot, PipelineSummary } from '../../src/feed';
import { formatCount, HEALTH_LABELS, pluralize } from '../../src/react/format';
import { ConnectionStatus } from '../components/connection-status';
import { HealthBadge } from '../components/health-badge';
import { useDocumentTitle } from '../hooks/use-document-title';
import { compareHealth, worstHealth } from '../model/health-order';
import { hrefs } from '../router';

/** The server's limit. */
const MAX_PIPELINES = 1000;

interface OverviewProps extends Omit<FeedSnapshot<unknown>, 'value'> {
  pipelines: readonly PipelineSummary[];
  refresh?: (() => Promise<unknown>) | undefined;
}

/** All pipelines, the worst first. */
export function Overview({ pipelines, connection, receivedAt, refresh }: OverviewProps) {
  const health = worstHealth(pipelines.map((it) => it.overallStatus));
  useDocumentTitle(
    pipelines.length === 1 ? (pipelines[0]?.key ?? null) : `${pipelines.length} pipelines`,
    health,
    connection.state,
  );
  const sorted = [...pipelines].sort(
    (a, b) => compareHealth(a.overallStatus, b.overallStatus) || a.key.localeCompare(b.key),
  );
  return (
    <>
      <div className="heading">
        <Title order={1} size="h2">
          Pipelines
        </Title>
        <ConnectionStatus connection={connection} receivedAt={receivedAt} refresh={refresh} />
      </div>
      {pipelines.length >= MAX_PIPELINES && (
        <p className="muted">Showing the first {formatCount(MAX_PIPELINES)} pipelines.</p>
      )}
      <ul className="cards">
        {sorted.map((it) => (
          <PipelineCard key={it.key} summary={it} />
        ))}
      </ul>
    </>
  );
}

const PipelineCard = memo(({ summary: it }: { summary: PipelineSummary }) => (
  <Card component="li" withBorder padding="md" className="pipeline-card" data-health={it.overallStatus}>
    <div className="heading">
      <Title order={2} size="h4">
        <a href={hrefs.pipeline(it.key)} className="stretched-link">
          {it.key}
        </a>
      </Title>
      <HealthBadge health={it.overallStatus} />
    </div>
    <dl className="summary">
      <div>
        <dt>Sources</dt>
        <dd>
          {formatCount(it.sourcesProcessed)} of {formatCount(it.totalSources)}
        </dd>
      </div>
      {it.articlesCollected > 0 && (
        <div>
          <dt>Articles</dt>
          <dd>{formatCount(it.articlesCollected)}</dd>
        </div>
      )}
      {it.eventsExtracted > 0 && (
        <div>
          <dt>Events</dt>
          <dd>{formatCount(it.eventsExtracted)}</dd>
        </div>
      )}
    </dl>
    <p className="muted problems">{describeProblems(it)}</p>
  </Card>
));

/** A summary of the problems of a pipeline. */
function describeProblems(it: PipelineSummary): string {
  const quality = it.dataQualityStatus;
  const problems = [
    it.openAlerts > 0 && pluralize(it.openAlerts, 'alert'),
    it.failedSources > 0 && pluralize(it.failedSources, 'failed source'),
    it.staleSources > 0 && pluralize(it.staleSources, 'stale source'),
    (quality === 'WARNING' || quality === 'ERROR') && `data quality: ${HEALTH_LABELS[quality].toLowerCase()}`,
  ].filter(Boolean);
  return problems.join(', ') || (it.totalSources > 0 ? 'No problems' : 'No sources yet');
}
PipelineCard.displayName = 'PipelineCard';
