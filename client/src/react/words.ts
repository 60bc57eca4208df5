import type { Health } from '../feed';

/** The words and forms that people see, the same in every component. */
export const HEALTH: Record<Health, string> = {
  HEALTHY: 'Healthy',
  WARNING: 'Warning',
  ERROR: 'Error',
  PENDING: 'Pending',
};

export function percent(rate: number | null): string {
  return rate === null ? '–' : `${rate.toFixed(1)} %`;
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

/** So many of something, in the singular where there is one. */
export function counted(value: number, one: string): string {
  return `${count(value)} ${value === 1 ? one : `${one}s`}`;
}

/** Seconds as people say them: one unit, rounded down. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** How long ago an instant was. */
export function ago(timestamp: string | null, now: number): string {
  if (timestamp === null) return 'never';
  return `${duration(Math.max(0, Math.floor((now - Date.parse(timestamp)) / 1_000)))} ago`;
}
