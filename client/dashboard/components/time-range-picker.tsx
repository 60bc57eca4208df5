import { Button, Group } from '@mantine/core';

/** A row of toggle buttons, one of them pressed. */
export function TimeRangePicker<T extends string>({
  options,
  selected,
  onSelect,
}: {
  options: readonly T[];
  selected: T;
  onSelect: (option: T) => void;
}) {
  return (
    <Group gap={4} role="group" aria-label="Time range">
      {options.map((option) => (
        <Button
          key={option}
          size="xs"
          variant={option === selected ? 'default' : 'subtle'}
          color="gray"
          c="inherit"
          aria-pressed={option === selected}
          onClick={() => onSelect(option)}
        >
          {option}
        </Button>
      ))}
    </Group>
  );
}
