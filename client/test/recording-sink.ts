import { vi } from 'vitest';
import type { Problem } from '../src/feed/problem';
import type { Sink } from '../src/feed/transport';

/** A sink that records what it receives. */
export function recordingSink<T>() {
  const data: T[] = [];
  const problems: Problem[] = [];
  const sink: Sink<T> & { activities: number } = {
    activities: 0,
    data: (value) => void data.push(value),
    activity() {
      sink.activities += 1;
    },
    closed: (problem) => void problems.push(problem),
  };
  return { data, problems, sink };
}

export const until = (check: () => void) => vi.waitFor(check, { timeout: 3_000, interval: 5 });
