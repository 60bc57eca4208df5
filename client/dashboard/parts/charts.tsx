import type { Buckets } from './buckets';
import { Chart } from './chart';

/** Rates and volumes side by side. */
export function Charts({ buckets, hasGaps = false }: { buckets: Buckets; hasGaps?: boolean }) {
  return (
    <div className="charts">
      <Chart
        title="Rates"
        from={buckets.from}
        unit="%"
        hasGaps={hasGaps}
        lines={[
          { name: 'Geocoding', values: buckets.geocoding, color: 1 },
          { name: 'Validation', values: buckets.validation, color: 2 },
        ]}
      />
      <Chart
        title="Volumes"
        from={buckets.from}
        hasGaps={hasGaps}
        lines={[
          { name: 'Articles', values: buckets.articles, color: 1 },
          { name: 'Events', values: buckets.events, color: 2 },
        ]}
      />
    </div>
  );
}
