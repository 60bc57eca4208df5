import { Title } from '@mantine/core';
import type { Health, PipelineStep, StepState } from '../../src/feed';
import { formatCount, formatDuration, pluralize } from '../../src/react/format';

const STATE_HEALTH: Record<StepState, Health> = {
  PENDING: 'PENDING',
  RUNNING: 'PENDING',
  OK: 'HEALTHY',
  FAILED: 'ERROR',
  SKIPPED: 'PENDING',
};
const STATE_LABELS: Record<StepState, string> = {
  PENDING: 'Pending',
  RUNNING: 'Running',
  OK: 'Succeeded',
  FAILED: 'Failed',
  SKIPPED: 'Skipped',
};

/** The steps of the last cycle, in order. Renders nothing if no run reported steps. */
export function PipelineSteps({ steps }: { steps: readonly PipelineStep[] }) {
  if (steps.length === 0) return null;
  return (
    <section aria-labelledby="steps">
      <div className="heading">
        <Title order={2} size="h4" id="steps">
          Last cycle
        </Title>
      </div>
      <ol className="steps">
        {steps.map((step) => (
          <StepCard key={step.name} step={step} />
        ))}
      </ol>
    </section>
  );
}

function StepCard({ step }: { step: PipelineStep }) {
  const { name, state, itemsIn, itemsOut, durationSeconds, failed, sources } = step;
  return (
    <li data-state={state}>
      <span className="step-name">{name}</span>
      <span className="health" data-health={STATE_HEALTH[state]}>
        {STATE_LABELS[state]}
        {failed > 0 && ` in ${formatCount(failed)} of ${pluralize(sources, 'source')}`}
      </span>
      <span className="muted numeric">{formatItems(itemsIn, itemsOut)}</span>
      <span className="muted numeric">
        {durationSeconds === null ? '' : formatDuration(Math.round(durationSeconds))}
      </span>
    </li>
  );
}

function formatItems(itemsIn: number | null, itemsOut: number | null): string {
  if (itemsIn !== null && itemsOut !== null) return `${formatCount(itemsIn)} in, ${formatCount(itemsOut)} out`;
  if (itemsIn !== null) return `${formatCount(itemsIn)} in`;
  return itemsOut === null ? '' : `${formatCount(itemsOut)} out`;
}
