import { expect, it } from 'vitest';
import { compare } from './compare';
import { overviewOperation, type PipelineSummary } from './operation';

const T = '2026-01-28T15:30:45.123456Z';

it.each([
  ['revisions compare as numbers', '10', T, '9', T, 1],
  ['revisions may exceed a double', '9007199254740993', T, '9007199254740992', T, 1],
  ['a lower revision is older even with a later timestamp', '9', '2026-01-29T00:00:00Z', '10', T, -1],
  ['at the same revision the later timestamp is newer', '9', T, '9', '2026-01-28T15:30:45.123455Z', 1],
  ['microseconds count', '9', '2026-01-28T15:30:45.1234Z', '9', T, -1],
  ['fractions may be omitted', '9', '2026-01-28T15:30:45Z', '9', '2026-01-28T15:30:45.000Z', 0],
  ['equal statuses', '9', T, '9', T, 0],
])('%s', (_, revision, timestamp, otherRevision, otherTimestamp, expected) => {
  expect(compare({ revision, timestamp }, { revision: otherRevision, timestamp: otherTimestamp })).toBe(expected);
});

it('a list is older if any pipeline in it is older', () => {
  const list = (...items: [string, string][]) =>
    items.map(([key, revision]) => ({ key, revision, timestamp: T }) as PipelineSummary);
  const shown = list(['a', '5'], ['b', '5']);
  expect(overviewOperation.compare(list(['a', '6'], ['b', '5']), shown)).toBe(1);
  expect(overviewOperation.compare(list(['a', '6'], ['b', '4']), shown)).toBe(-1);
  expect(overviewOperation.compare(list(['a', '5']), shown)).toBe(1);
  expect(overviewOperation.compare(list(['a', '5'], ['b', '5'], ['c', '1']), shown)).toBe(1);
});
