import { type ReactNode, useMemo } from 'react';
import type { Found } from './anomalies';
import type { Buckets } from './buckets';
import { Chart } from './chart';

export interface ChartsProps {
  buckets: Buckets;
  found?: Found;
  hasGaps?: boolean;
  /** Charts of what not every pipeline has. */
  children?: ReactNode;
}

/** Rates and volumes side by side, and what was unusual about them. */
export function Charts({ buckets, found, hasGaps = false, children }: ChartsProps) {
  const [rates, volumes] = useMemo(() => {
    const line = (name: string, series: Exclude<keyof Buckets, 'from'>, color: 1 | 2) => ({
      name,
      values: buckets[series],
      color,
      marks: found?.marks.get(series) ?? [],
    });
    return [
      [line('Geocoding', 'geocoding', 1), line('Validation', 'validation', 2)],
      [line('Articles', 'articles', 1), line('Events', 'events', 2)],
    ] as const;
  }, [buckets, found]);
  return (
    <div className="charts">
      <Chart title="Rates" from={buckets.from} unit="%" hasGaps={hasGaps} lines={rates} />
      <Chart title="Volumes" from={buckets.from} hasGaps={hasGaps} lines={volumes} />
      {children}
    </div>
  );
}
