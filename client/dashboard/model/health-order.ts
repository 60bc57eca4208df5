import type { Health } from '../../src/feed';

/** Pending is last: it counts only where nothing else is known. */
const ORDER: readonly Health[] = ['ERROR', 'WARNING', 'HEALTHY', 'PENDING'];

export function worstHealth(healths: readonly Health[]): Health | null {
  return ORDER.find((it) => healths.includes(it)) ?? null;
}

export function compareHealth(a: Health, b: Health): number {
  return ORDER.indexOf(a) - ORDER.indexOf(b);
}
