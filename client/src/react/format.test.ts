import { expect, it } from 'vitest';
import { formatAmount, formatName, formatSpan } from './format';

it('counts have the unit of their name', () => {
  for (const [name, value, expected] of [
    ['rows', 3_000_000_000, '3,000,000,000'],
    ['rows', Number.MAX_SAFE_INTEGER, '9,007,199,254,740,991'],
    ['bytes', 0, '0 B'],
    ['bytes', 999, '999 B'],
    ['bytes', 81_234_567_890, '81.2 GB'],
    ['output_bytes', 999_999, '1 MB'],
    ['bytes', Number.MAX_SAFE_INTEGER, '9.01 PB'],
    ['kilobytes', 5, '5'],
    ['cpu_seconds', 59, '59 s'],
    ['cpu_seconds', 7_500, '2 h 5 min'],
    ['seconds', 86_400, '1 d'],
  ] as const) {
    expect(formatAmount(name, value), `${name} ${value}`).toBe(expected);
  }
});

it('names are words', () => {
  expect(['rows_loaded', 'not-null', 'events'].map(formatName)).toEqual(['Rows loaded', 'Not null', 'Events']);
});

it('fractions are shown of less than a second only', () => {
  expect([0, 0.25, 1.9, 60.4].map(formatSpan)).toEqual(['0 s', '0.3 s', '1 s', '1 min']);
});
