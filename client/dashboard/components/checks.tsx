import { Card, Progress, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import type { CheckStatus, PipelineStatus } from '../../src/feed';
import { formatCount, formatName, formatPercent } from '../../src/react/format';
import { HealthBadge } from './health-badge';
import { lazyWithRetry } from './lazy-with-retry';

// Loads Apollo, which is not part of the first view.
const CheckTrend = lazyWithRetry(() => import('./check-trend'));

type Quality = PipelineStatus['dataQuality'];

const BASIS_LABELS: Record<Quality['basis'], string> = {
  AGGREGATE: 'reported for the pipeline as a whole',
  SOURCE_SPECIFIC: 'sum of all sources',
  HOURLY: 'sum of hourly totals',
  CONFLICT_EVENTS: 'from the stored events',
  NONE: '',
};

/** Names joined by commas, which names cannot contain: a stable string for memoised components. */
export function joinNames(named: readonly Pick<CheckStatus, 'name'>[]): string {
  return named.map((it) => it.name).join();
}

/** The checks with attempts in the window. Renders nothing without any. */
export function Checks({ status: { pipeline, revision, dataQuality: quality } }: { status: PipelineStatus }) {
  const checks = quality.checks.filter((it) => it.attempts > 0);
  if (checks.length === 0) return null;
  return (
    <section aria-labelledby="checks">
      <div className="heading">
        <div className="title-row">
          <Title order={2} size="h4" id="checks">
            Data quality
          </Title>
          <span className="muted">{BASIS_LABELS[quality.basis]}</span>
        </div>
        <HealthBadge health={quality.status} />
      </div>
      <div className="checks">
        {checks.map((check) => (
          <CheckCard key={check.name} {...check}>
            <CheckTrend pipeline={pipeline} check={check.name} revision={revision} />
          </CheckCard>
        ))}
      </div>
    </section>
  );
}

function CheckCard({ name, status, rate, attempts, passes, children }: CheckStatus & { children: ReactNode }) {
  return (
    <Card withBorder padding="md">
      <div className="heading">
        <Title order={3} size="h5">
          {formatName(name)}
        </Title>
        <HealthBadge health={status} iconOnly={status === 'HEALTHY'} />
        <span className="value numeric">{formatPercent(rate)}</span>
      </div>
      <Progress value={rate ?? 0} color="gray" size="sm" aria-label={`${name} rate`} />
      <div className="heading card-footer">
        <span className="muted numeric">
          {formatCount(passes)} of {formatCount(attempts)}
        </span>
        {children}
      </div>
    </Card>
  );
}
