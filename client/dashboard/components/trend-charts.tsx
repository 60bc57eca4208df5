import { type ReactNode, useMemo } from 'react';
import type { AnomalyMarkers } from '../model/anomaly-markers';
import type { Buckets } from '../model/run-buckets';
import { Chart } from './chart';

interface TrendChartsProps {
  buckets: Buckets;
  markers?: AnomalyMarkers;
  hasGaps?: boolean;
  /** The charts of custom checks. */
  children?: ReactNode;
}

/** Rates and volumes side by side. */
export function TrendCharts({ buckets, markers, hasGaps = false, children }: TrendChartsProps) {
  const [rates, volumes] = useMemo(() => {
    const line = (name: string, series: Exclude<keyof Buckets, 'from'>, color: 1 | 2) => ({
      name,
      values: buckets[series],
      color,
      markers: markers?.bySeries.get(series) ?? [],
    });
    return [
      [line('Geocoding', 'geocoding', 1), line('Validation', 'validation', 2)],
      [line('Articles', 'articles', 1), line('Events', 'events', 2)],
    ] as const;
  }, [buckets, markers]);
  return (
    <div className="charts">
      <Chart title="Rates" from={buckets.from} unit="%" hasGaps={hasGaps} lines={rates} />
      <Chart title="Volumes" from={buckets.from} hasGaps={hasGaps} lines={volumes} />
      {children}
    </div>
  );
}
