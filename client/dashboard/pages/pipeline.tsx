import { Skeleton, Title } from '@mantine/core';
import { memo, useState } from 'react';
import type { PipelineStatus } from '../../src/feed';
import { useStatusFeed } from '../../src/react';
import { count } from '../../src/react/words';
import { Checks, namesOf } from '../parts/checks';
import { ConnectionPill } from '../parts/connection-pill';
import { Empty } from '../parts/empty';
import { Figure } from '../parts/figure';
import { Gone } from '../parts/gone';
import { HealthMark } from '../parts/health';
import { later } from '../parts/later';
import { Notices } from '../parts/notices';
import { type RunsBySource, SourcesTable } from '../parts/sources-table';
import { Steps } from '../parts/steps';
import { hrefs } from '../router';
import { useTitle } from '../title';

// The chart and Apollo come after the first view.
const Trend = later(() => import('../parts/trend'), <Skeleton height={280} radius="md" />);

/** Rendered for its own feed, and not whenever the overview around it changes. */
export const Pipeline = memo(({ pipeline, isKiosk }: { pipeline: string; isKiosk: boolean }) => {
  const { status, receivedAt, connection, refresh } = useStatusFeed({ pipeline });
  useTitle(pipeline, status?.overallStatus ?? null, connection.state);
  // One that was removed is gone, however much was known of it.
  if (connection.error?.kind === 'missing') {
    return <Empty pipeline={pipeline} title={`There is no pipeline “${pipeline}”${status ? ' any more' : ' yet'}`} />;
  }
  return (
    <>
      <div className="heading">
        <div>
          {!isKiosk && (
            <a href={hrefs.overview} className="dim">
              All pipelines
            </a>
          )}
          <div className="name">
            <Title order={1} size="h2">
              {pipeline}
            </Title>
            {status && <HealthMark health={status.overallStatus} />}
          </div>
        </div>
        <ConnectionPill connection={connection} receivedAt={receivedAt} refresh={isKiosk ? undefined : refresh} />
      </div>
      <Gone connection={connection} receivedAt={receivedAt} hasData={status !== null} retry={refresh} />
      {status ? <Details status={status} isKiosk={isKiosk} /> : connection.state !== 'disconnected' && <Skeletons />}
    </>
  );
});
Pipeline.displayName = 'Pipeline';

function Details({ status, isKiosk }: { status: PipelineStatus; isKiosk: boolean }) {
  const { scrapingHealth: health } = status;
  const [runs, setRuns] = useState<RunsBySource>(new Map());
  if (health.totalSources === 0) return <Empty pipeline={status.pipeline} title="No source has reported yet" />;
  return (
    <>
      <Notices status={status} />
      <dl className="figures-row">
        <Figure name="Sources processed" of={`of ${count(health.totalSources)}`}>
          {count(health.sourcesProcessed)}
        </Figure>
        <Figure name="Articles collected">{count(health.articlesCollected)}</Figure>
        <Figure name="Events extracted">{count(health.eventsExtracted)}</Figure>
        <Figure name="Failed sources">{count(health.failedSources)}</Figure>
        <Figure name="Silent sources">{count(health.staleSources)}</Figure>
      </dl>
      <Steps steps={status.steps} />
      <Checks status={status} />
      <Trend
        pipeline={status.pipeline}
        revision={status.revision}
        timestamp={status.timestamp}
        checks={namesOf(status.dataQuality.checks)}
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
