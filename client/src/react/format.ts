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
