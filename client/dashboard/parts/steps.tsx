import { Title } from '@mantine/core';
import type { Health, PipelineStep, StepState } from '../../src/feed';
import { count, duration } from '../../src/react/words';

const HEALTH: Record<StepState, Health> = {
  PENDING: 'PENDING',
  RUNNING: 'PENDING',
  OK: 'HEALTHY',
  FAILED: 'ERROR',
  SKIPPED: 'PENDING',
};
const WORDS: Record<StepState, string> = {
  PENDING: 'to come',
  RUNNING: 'running',
  OK: 'done',
  FAILED: 'failed',
  SKIPPED: 'left out',
};

/** The steps of the last cycle in their order, as they were reported. Nothing where no run told of steps. */
export function Steps({ steps }: { steps: readonly PipelineStep[] }) {
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
          <Step key={step.name} step={step} />
        ))}
      </ol>
    </section>
  );
}

function Step({ step }: { step: PipelineStep }) {
  const { name, state, itemsIn, itemsOut, durationSeconds, failed, sources } = step;
  return (
    <li data-state={state}>
      <span className="step-name">{name}</span>
      <span className="health" data-health={HEALTH[state]}>
        {WORDS[state]}
        {failed > 0 && ` in ${count(failed)} of ${count(sources)}`}
      </span>
      <span className="dim figures">{items(itemsIn, itemsOut)}</span>
      <span className="dim figures">{durationSeconds === null ? '' : duration(Math.round(durationSeconds))}</span>
    </li>
  );
}

function items(given: number | null, passed: number | null): string {
  if (given !== null && passed !== null) return `${count(given)} in, ${count(passed)} out`;
  if (given !== null) return `${count(given)} in`;
  return passed === null ? '' : `${count(passed)} out`;
}
