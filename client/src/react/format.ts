import type { Health } from '../feed';

export const HEALTH_LABELS: Record<Health, string> = {
  HEALTHY: 'Healthy',
  WARNING: 'Warning',
  ERROR: 'Error',
  PENDING: 'Pending',
};

export function formatPercent(rate: number | null): string {
  return rate === null ? '–' : `${rate.toFixed(1)} %`;
}

export function formatCount(value: number): string {
  return value.toLocaleString('en');
}

/** The display unit of a count, which is the end of its name: `bytes` and `output_bytes` are bytes. */
export function countUnit(name: string): 'bytes' | 'seconds' | null {
  const [, unit] = /(?:^|[_-])(bytes|seconds)$/.exec(name) ?? [];
  return (unit as 'bytes' | 'seconds' | undefined) ?? null;
}

/** A count in the unit of its name: `1,250`, `81.2 GB`, `2 h 5 min`. */
export function formatAmount(name: string, value: number): string {
  const unit = countUnit(name);
  if (unit === 'bytes') return formatBytes(value);
  return unit === 'seconds' ? formatSpan(value) : formatCount(value);
}

/** `rows_loaded` as `Rows loaded`. */
export function formatName(name: string): string {
  const words = name.replace(/[_-]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** With three digits, in powers of 1,000. */
function formatBytes(value: number): string {
  let [scaled, unit] = [value, 0];
  for (; scaled >= 999.5 && unit < BYTE_UNITS.length - 1; unit += 1) scaled /= 1_000;
  return `${scaled.toLocaleString('en', { maximumSignificantDigits: unit === 0 ? 4 : 3 })} ${BYTE_UNITS[unit]}`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const SPAN_UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const;

/** Seconds in the two largest units, the last one rounded down. */
export function formatSpan(seconds: number): string {
  const first = SPAN_UNITS.findIndex(([length]) => seconds >= length);
  if (first < 0) return `${Math.round(seconds * 10) / 10} s`;
  let rest = Math.floor(seconds);
  const parts = SPAN_UNITS.slice(first, first + 2).flatMap(([length, unit]) => {
    const amount = Math.floor(rest / length);
    rest -= amount * length;
    return amount > 0 ? `${formatCount(amount)} ${unit}` : [];
  });
  return parts.join(' ');
}

/** `1 run`, `2 runs`. */
export function pluralize(value: number, singular: string): string {
  return `${formatCount(value)} ${value === 1 ? singular : `${singular}s`}`;
}

/** Seconds in the largest whole unit, rounded down. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** `5 min ago`; `never` without a timestamp. */
export function formatAge(timestamp: string | null, now: number): string {
  if (timestamp === null) return 'never';
  return `${formatDuration(Math.max(0, Math.floor((now - Date.parse(timestamp)) / 1_000)))} ago`;
}
