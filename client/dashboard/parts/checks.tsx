import { Card, Progress, Title } from '@mantine/core';
import type { PipelineStatus } from '../../src/feed';
import { count, percent } from '../../src/react/words';
import { HealthMark } from './health';

type Quality = PipelineStatus['dataQuality'];

const BASIS: Record<Quality['basis'], string> = {
  AGGREGATE: 'as the pipeline reported it as a whole',
  SOURCE_SPECIFIC: 'summed over its sources',
  HOURLY: 'summed over hours',
  CONFLICT_EVENTS: 'from the events that were stored',
  NONE: '',
};

/** The checks of the window. The schema has two of them by name, and their worst as one status. */
export function Checks({ quality }: { quality: Quality }) {
  return (
    <section aria-labelledby="checks">
      <div className="heading">
        <Title order={2} size="h4" id="checks">
          Data quality
        </Title>
        <span>
          <HealthMark health={quality.status} /> <span className="dim">{BASIS[quality.basis]}</span>
        </span>
      </div>
      <div className="checks">
        <Check
          name="Geocoding"
          rate={quality.geocodingSuccessRate}
          good={quality.geocodingSuccesses}
          all={quality.geocodingAttempts}
        />
        <Check
          name="Validation"
          rate={quality.validationPassRate}
          good={quality.validationPasses}
          all={quality.validationAttempts}
        />
      </div>
    </section>
  );
}

function Check({ name, rate, good, all }: { name: string; rate: number | null; good: number; all: number }) {
  return (
    <Card withBorder padding="md">
      <div className="heading">
        <Title order={3} size="h5">
          {name}
        </Title>
        <span className="value figures">{percent(rate)}</span>
      </div>
      <Progress value={rate ?? 0} color="gray" size="sm" aria-label={`${name} rate`} />
      <p className="dim figures">{all > 0 ? `${count(good)} of ${count(all)}` : 'Nothing to check in the window'}</p>
    </Card>
  );
}
