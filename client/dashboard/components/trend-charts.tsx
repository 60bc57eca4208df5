import { type ReactNode, useMemo } from 'react';
import { formatName } from '../../src/react/format';
import type { AnomalyMarkers } from '../model/anomaly-markers';
import type { Buckets, Values } from '../model/run-buckets';
import { Chart, unitOf } from './chart';

interface TrendChartsProps {
  buckets: Buckets;
  markers?: AnomalyMarkers;
  hasGaps?: boolean;
  /** Further charts. */
  children?: ReactNode;
}

/** Counts of a common scale, which share a chart. */
const VOLUMES = ['articles', 'events'];

/** Rates and counts side by side. What was never reported has no chart. */
export function TrendCharts({ buckets, markers, hasGaps = false, children }: TrendChartsProps) {
  const { from } = buckets;
  const [rates, volumes, others] = useMemo(() => {
    const lines = (series: Iterable<readonly [string, Values]>) =>
      [...series]
        .map(([name, values], index) => ({
          name: formatName(name),
          values,
          color: index === 0 ? (1 as const) : (2 as const),
          markers: markers?.bySeries.get(name) ?? [],
        }))
        .filter(({ values, markers }) => markers.length > 0 || values.some((it) => it !== null));
    const counts = [...buckets.counts];
    return [
      lines(buckets.rates),
      lines(counts.filter(([name]) => VOLUMES.includes(name))),
      counts.flatMap((it) => (VOLUMES.includes(it[0]) ? [] : [{ name: it[0], lines: lines([it]) }])),
    ];
  }, [buckets, markers]);
  return (
    <div className="charts">
      {rates.length > 0 && <Chart title="Rates" from={from} unit="%" hasGaps={hasGaps} lines={rates} />}
      {volumes.length > 0 && <Chart title="Volumes" from={from} hasGaps={hasGaps} lines={volumes} />}
      {others.map(({ name, lines }) => (
        <Chart
          key={name}
          title={formatName(name)}
          from={from}
          unit={unitOf({ kind: 'count', name })}
          hasGaps={hasGaps}
          lines={lines}
        />
      ))}
      {children}
    </div>
  );
}
