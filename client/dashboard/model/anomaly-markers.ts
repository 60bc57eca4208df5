import type { HistoryQuery } from '../generated';
import type { BucketRange } from './time-ranges';

export type Anomaly = HistoryQuery['anomalies']['nodes'][number];

/** The series of every history, by the server's names. Other series are custom checks and counts. */
const BUILT_IN_SERIES: readonly string[] = ['geocoding', 'validation', 'articles', 'events'];

/** An anomaly and its position on a chart. */
export interface Marker {
  readonly anomaly: Anomaly;
  /** The start of its hour or day, in seconds since 1970. */
  readonly at: number;
}

export interface AnomalyMarkers {
  readonly bySeries: ReadonlyMap<string, readonly Marker[]>;
  /** Anomalies per source that the chart does not show, the highest count first. */
  readonly otherSources: readonly (readonly [source: string, count: number])[];
}

/** Places anomalies on the charts of a pipeline (`source` is null) or of one source, and counts the remaining ones. */
export function anomalyMarkers(
  anomalies: readonly Anomaly[],
  source: string | null,
  { from, to, step }: BucketRange,
): AnomalyMarkers {
  const bySeries = new Map<string, Marker[]>();
  const otherSources = new Map<string, number>();
  for (const anomaly of anomalies) {
    const at = Math.floor(Date.parse(anomaly.timestamp) / 1_000 / step) * step;
    if (at < from || at >= to) continue;
    if (anomaly.source === source) {
      const { series } = anomaly;
      bySeries.set(series, [...(bySeries.get(series) ?? []), { anomaly, at }]);
    } else if (anomaly.source !== null) {
      otherSources.set(anomaly.source, (otherSources.get(anomaly.source) ?? 0) + 1);
    }
  }
  return { bySeries, otherSources: [...otherSources].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])) };
}

/** A custom check or a count with a chart of its own. */
export interface Series {
  readonly kind: 'check' | 'count';
  readonly name: string;
}

const COUNT_PREFIX = 'counts.';

/** The server's name of a series. */
export function seriesKey({ kind, name }: Series): string {
  return kind === 'count' ? COUNT_PREFIX + name : name;
}

/** Custom checks and counts, from the status and from anomalies of series that the status no longer contains. */
export function customSeries(
  checks: readonly string[],
  counts: readonly string[],
  { bySeries }: AnomalyMarkers,
): Series[] {
  const keys = [...checks, ...counts.map((name) => seriesKey({ kind: 'count', name })), ...[...bySeries.keys()].sort()];
  const series = [...new Set(keys)].map(
    (key): Series =>
      key.startsWith(COUNT_PREFIX)
        ? { kind: 'count', name: key.slice(COUNT_PREFIX.length) }
        : { kind: 'check', name: key },
  );
  return series.filter(({ name }) => !BUILT_IN_SERIES.includes(name));
}

/** How close the pointer must be to a marker, in pixels. */
const HIT_RADIUS = 10;

/** The markers at the position nearest to the pointer, if it is near enough. */
export function markersNear<M extends Marker>(
  markers: readonly M[],
  left: number,
  toLeft: (at: number) => number,
): readonly M[] {
  let nearest = HIT_RADIUS;
  let found: number | undefined;
  for (const { at } of markers) {
    const distance = Math.abs(toLeft(at) - left);
    if (distance > nearest || at === found) continue;
    nearest = distance;
    found = at;
  }
  return markers.filter((it) => it.at === found);
}

/** `p = 0.003, alert threshold 0.0001`. */
export function formatPValue({ pValue, alpha }: Pick<Anomaly, 'pValue' | 'alpha'>): string {
  return `p ${pValue < 1e-6 ? '< 0.000001' : `= ${formatSignificant(pValue)}`}, alert threshold ${formatSignificant(alpha)}`;
}

function formatSignificant(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 2, maximumFractionDigits: 12 });
}

/** The server's description without its trailing p-value, which is shown with the threshold. */
export function withoutPValue({ description }: Pick<Anomaly, 'description'>): string {
  return description.replace(/; p [=<] [\d.]+$/, '');
}

export function isHighSeverity({ severity }: Pick<Anomaly, 'severity'>): boolean {
  return severity !== 'LOW';
}
