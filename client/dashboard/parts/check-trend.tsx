import { useQuery } from '@apollo/client/react';
import { memo, useMemo } from 'react';
import { percent } from '../../src/react/words';
import { CHECK_HISTORY, client } from '../apollo';
import { useFollowing } from './following';
import { asked, rangeOf } from './spans';
import { Sparkline } from './sparkline';

/** A line of a day's hours changes slowly. */
const PAUSE = 30_000;

export interface CheckTrendProps {
  pipeline: string;
  check: string;
  revision: string;
}

/** So that a point or two of a percent, which is noise, does not look like a fall. */
const LEAST_HEIGHT = 20;

/** From below the lowest rate to above the highest, within what rates can be. */
function rangeOfRates(rates: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const height = Math.max(high - low, LEAST_HEIGHT);
  const bottom = Math.max(0, Math.min((low + high - height) / 2, 100 - height));
  return [bottom, bottom + height];
}

/** A check's rates of the last hours as a small line. Nothing where fewer than two of them have one. */
export default memo(({ pipeline, check, revision }: CheckTrendProps) => {
  const hour = Math.floor(Date.now() / 3_600_000);
  const range = useMemo(() => rangeOf('24 h', hour * 3_600_000), [hour]);
  const { data, refetch } = useQuery(CHECK_HISTORY, {
    client,
    variables: { pipeline, source: null, check, ...asked(range) },
    fetchPolicy: 'no-cache',
  });
  useFollowing(revision, refetch, PAUSE);
  const rates = (data?.qualityHistory?.points ?? []).flatMap((it) => it?.rate ?? []);
  if (rates.length < 2) return null;
  return (
    <span className="check-trend dim">
      24 h{' '}
      <Sparkline
        values={rates}
        range={rangeOfRates(rates)}
        label={`${check} of the last 24 hours, by the hour: ${rates.map(percent).join(', ')}`}
      />
    </span>
  );
});
