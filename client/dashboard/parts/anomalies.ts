import type { HistoryQuery } from '../generated';
import type { Range } from './spans';

export type Anomaly = HistoryQuery['anomalies']['nodes'][number];

/** What every history has, as the server names it. Other series are of checks that a reporter named. */
const ALWAYS: readonly string[] = ['geocoding', 'validation', 'articles', 'events'];

/** An anomaly at its place on a chart. */
export interface Mark {
  readonly anomaly: Anomaly;
  /** Of the hour or day in which it is, in seconds since 1970. */
  readonly at: number;
}

export interface Found {
  /** By their series, the newest first. */
  readonly marks: ReadonlyMap<string, readonly Mark[]>;
  /** How many there are of single sources beside a pipeline's own, the most first. */
  readonly elsewhere: readonly (readonly [source: string, count: number])[];
}

/** What belongs to the lines of a pipeline (`source` is null) or of one of its sources, and what does not. */
export function foundIn(anomalies: readonly Anomaly[], source: string | null, { from, to, step }: Range): Found {
  const marks = new Map<string, Mark[]>();
  const elsewhere = new Map<string, number>();
  for (const anomaly of anomalies) {
    const at = Math.floor(Date.parse(anomaly.timestamp) / 1_000 / step) * step;
    if (at < from || at >= to) continue;
    if (anomaly.source === source) {
      const { series } = anomaly;
      marks.set(series, [...(marks.get(series) ?? []), { anomaly, at }]);
    } else if (anomaly.source !== null) elsewhere.set(anomaly.source, (elsewhere.get(anomaly.source) ?? 0) + 1);
  }
  return { marks, elsewhere: [...elsewhere].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])) };
}

/** The checks beside those that every history has: what the status names, and what something was unusual about before. */
export function furtherChecks(named: readonly string[], { marks }: Found): string[] {
  return [...new Set([...named, ...[...marks.keys()].sort()])].filter((it) => !ALWAYS.includes(it));
}

/** The marks under a pointer: those of the place nearest to it, if it is near enough. */
export function marksNear<M extends Mark>(
  marks: readonly M[],
  left: number,
  toLeft: (at: number) => number,
): readonly M[] {
  let nearest = NEAR;
  let found: number | undefined;
  for (const { at } of marks) {
    const distance = Math.abs(toLeft(at) - left);
    if (distance > nearest || at === found) continue;
    nearest = distance;
    found = at;
  }
  return marks.filter((it) => it.at === found);
}

/** In pixels: what a pointer hits without aim. */
const NEAR = 10;

/** How sure it is, in few digits: `p = 0.003, alert below 0.0001`. */
export function sureness({ pValue, alpha }: Pick<Anomaly, 'pValue' | 'alpha'>): string {
  return `p ${pValue < 1e-6 ? '< 0.000001' : `= ${digits(pValue)}`}, alert below ${digits(alpha)}`;
}

function digits(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 2, maximumFractionDigits: 12 });
}

/** The server's sentence without the p-value at its end, which is shown beside alpha. */
export function sentence({ description }: Pick<Anomaly, 'description'>): string {
  return description.replace(/; p [=<] [\d.]+$/, '');
}

export function isGrave({ severity }: Pick<Anomaly, 'severity'>): boolean {
  return severity !== 'LOW';
}
