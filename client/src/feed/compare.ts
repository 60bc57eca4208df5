/** The fields that order two statuses of a pipeline. */
export interface Versioned {
  /** Decimal digits, compared as a number. */
  readonly revision: string;
  /** RFC 3339 in UTC. */
  readonly timestamp: string;
}

/** Above 0 when `a` is newer than `b`: a higher revision or, at the same revision, a later timestamp. */
export function compare(a: Versioned, b: Versioned): number {
  const difference = Number(BigInt(a.revision) - BigInt(b.revision));
  if (difference) return difference;
  const [left, right] = [sortableTimestamp(a.timestamp), sortableTimestamp(b.timestamp)];
  return left === right ? 0 : left > right ? 1 : -1;
}

/** `Date` would drop the microseconds, in which two statuses may differ. */
function sortableTimestamp(timestamp: string): string {
  const [whole = '', fraction = ''] = timestamp.replace('Z', '').split('.');
  return whole + fraction.padEnd(9, '0');
}
