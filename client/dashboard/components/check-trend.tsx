import { useQuery } from '@apollo/client/react';
import { memo, useMemo } from 'react';
import { formatPercent } from '../../src/react/format';
import { client } from '../apollo-client';
import { SeriesHistoryDocument } from '../generated';
import { useRefetchOnRevision } from '../hooks/use-refetch-on-revision';
import { bucketRange, rangeVariables } from '../model/time-ranges';
import { Sparkline } from './sparkline';

/** Hourly rates change slowly, so this many milliseconds between two requests are enough. */
const MIN_INTERVAL = 30_000;

interface CheckTrendProps {
  pipeline: string;
  check: string;
  revision: string;
}

/** In percentage points. A smaller range would make noise look like a drop. */
const MIN_RANGE = 20;

/** From below the lowest rate to above the highest, between 0 and 100. */
function rateRange(rates: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const height = Math.max(high - low, MIN_RANGE);
  const bottom = Math.max(0, Math.min((low + high - height) / 2, 100 - height));
  return [bottom, bottom + height];
}

/** The hourly rates of a check as a sparkline. Renders nothing for fewer than two rates. */
export default memo(({ pipeline, check, revision }: CheckTrendProps) => {
  const hour = Math.floor(Date.now() / 3_600_000);
  const range = useMemo(() => bucketRange('24 h', hour * 3_600_000), [hour]);
  const { data, refetch } = useQuery(SeriesHistoryDocument, {
    client,
    variables: { pipeline, source: null, check, ...rangeVariables(range) },
    fetchPolicy: 'no-cache',
  });
  useRefetchOnRevision(revision, refetch, MIN_INTERVAL);
  const rates = (data?.qualityHistory?.points ?? []).flatMap((it) => it?.rate ?? []);
  if (rates.length < 2) return null;
  return (
    <span className="check-trend muted">
      24 h{' '}
      <Sparkline
        values={rates}
        range={rateRange(rates)}
        label={`Hourly ${check} rate of the last 24 hours: ${rates.map(formatPercent).join(', ')}`}
      />
    </span>
  );
});
