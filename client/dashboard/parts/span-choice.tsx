import { Button, Group } from '@mantine/core';

/** One of a few, of which the chosen one is pressed. */
export function SpanChoice<T extends string>({
  spans,
  chosen,
  onChoose,
}: {
  spans: readonly T[];
  chosen: T;
  onChoose: (span: T) => void;
}) {
  return (
    <Group gap={4} role="group" aria-label="How far back">
      {spans.map((span) => (
        <Button
          key={span}
          size="xs"
          variant={span === chosen ? 'default' : 'subtle'}
          color="gray"
          c="inherit"
          aria-pressed={span === chosen}
          onClick={() => onChoose(span)}
        >
          {span}
        </Button>
      ))}
    </Group>
  );
}
