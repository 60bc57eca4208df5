import { Card, Title } from '@mantine/core';
import { memo } from 'react';
import type { FeedSnapshot, PipelineSummary } from '../../src/feed';
import { count, counted, HEALTH } from '../../src/react/words';
import { ConnectionPill } from '../parts/connection-pill';
import { HealthMark } from '../parts/health';
import { hrefs } from '../router';
import { bySeverity, useTitle, worst } from '../title';

/** The most that the server lists. */
const LISTED = 1000;

interface OverviewProps extends Omit<FeedSnapshot<unknown>, 'value'> {
  pipelines: readonly PipelineSummary[];
  refresh?: (() => Promise<unknown>) | undefined;
}

/** All pipelines, the worst first. */
export function Overview({ pipelines, connection, receivedAt, refresh }: OverviewProps) {
  const health = worst(pipelines.map((it) => it.overallStatus));
  useTitle(
    pipelines.length === 1 ? (pipelines[0]?.key ?? null) : `${pipelines.length} pipelines`,
    health,
    connection.state,
  );
  const sorted = [...pipelines].sort(
    (a, b) => bySeverity(a.overallStatus, b.overallStatus) || a.key.localeCompare(b.key),
  );
  return (
    <>
      <div className="heading">
        <Title order={1} size="h2">
          Pipelines
        </Title>
        <ConnectionPill connection={connection} receivedAt={receivedAt} refresh={refresh} />
      </div>
      {pipelines.length >= LISTED && (
        <p className="dim">The first {count(LISTED)} pipelines are shown; there may be more.</p>
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
  <Card component="li" withBorder padding="md" className="card" data-health={it.overallStatus}>
    <div className="heading">
      <Title order={2} size="h4">
        <a href={hrefs.pipeline(it.key)} className="cover">
          {it.key}
        </a>
      </Title>
      <HealthMark health={it.overallStatus} />
    </div>
    <dl className="pairs">
      <div>
        <dt>Sources</dt>
        <dd>
          {count(it.sourcesProcessed)} of {count(it.totalSources)}
        </dd>
      </div>
      <div>
        <dt>Articles</dt>
        <dd>{count(it.articlesCollected)}</dd>
      </div>
      <div>
        <dt>Events</dt>
        <dd>{count(it.eventsExtracted)}</dd>
      </div>
    </dl>
    <p className="dim troubles">{troublesOf(it)}</p>
  </Card>
));

/** Why it is not healthy, in few words. */
function troublesOf(it: PipelineSummary): string {
  const quality = it.dataQualityStatus;
  const troubles = [
    it.openAlerts > 0 && counted(it.openAlerts, 'alert'),
    it.failedSources > 0 && `${count(it.failedSources)} failed`,
    it.staleSources > 0 && `${count(it.staleSources)} silent`,
    (quality === 'WARNING' || quality === 'ERROR') && `data quality: ${HEALTH[quality].toLowerCase()}`,
  ].filter(Boolean);
  return troubles.join(', ') || (it.totalSources > 0 ? 'No trouble' : 'No sources yet');
}
PipelineCard.displayName = 'PipelineCard';
