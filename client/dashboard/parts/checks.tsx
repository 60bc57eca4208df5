import { Card, Progress, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import type { CheckStatus, PipelineStatus } from '../../src/feed';
import { count, percent } from '../../src/react/words';
import { HealthMark } from './health';
import { later } from './later';

// Apollo comes after the first view.
const CheckTrend = later(() => import('./check-trend'));

type Quality = PipelineStatus['dataQuality'];

const BASIS: Record<Quality['basis'], string> = {
  AGGREGATE: 'as the pipeline reported it as a whole',
  SOURCE_SPECIFIC: 'summed over its sources',
  HOURLY: 'summed over hours',
  CONFLICT_EVENTS: 'from the events that were stored',
  NONE: '',
};

/** The names of checks, with commas between them, which no name has: the same text for every status with the same. */
export function namesOf(checks: readonly Pick<CheckStatus, 'name'>[]): string {
  return checks.map((it) => it.name).join();
}

/** The checks of the window, those that a reporter named too. */
export function Checks({ status: { pipeline, revision, dataQuality: quality } }: { status: PipelineStatus }) {
  return (
    <section aria-labelledby="checks">
      <div className="heading">
        <div className="name">
          <Title order={2} size="h4" id="checks">
            Data quality
          </Title>
          <span className="dim">{BASIS[quality.basis]}</span>
        </div>
        <HealthMark health={quality.status} />
      </div>
      <div className="checks">
        {quality.checks.map((check) => (
          <Check key={check.name} {...check}>
            <CheckTrend pipeline={pipeline} check={check.name} revision={revision} />
          </Check>
        ))}
      </div>
    </section>
  );
}

function Check({ name, status, rate, attempts, passes, children }: CheckStatus & { children: ReactNode }) {
  return (
    <Card withBorder padding="md">
      <div className="heading">
        <Title order={3} size="h5" tt="capitalize">
          {name}
        </Title>
        <HealthMark health={status} isWordless={status === 'HEALTHY'} />
        <span className="value figures">{percent(rate)}</span>
      </div>
      <Progress value={rate ?? 0} color="gray" size="sm" aria-label={`${name} rate`} />
      <div className="heading foot">
        <span className="dim figures">
          {attempts > 0 ? `${count(passes)} of ${count(attempts)}` : 'Nothing to check in the window'}
        </span>
        {children}
      </div>
    </Card>
  );
}
