import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { CHECK_HISTORY, client } from '../apollo';
import type { Mark } from './anomalies';
import { Chart } from './chart';
import { useFollowing } from './following';
import { asked, columnOf, type Range, startsOf } from './spans';

export interface CheckHistoryProps {
  pipeline: string;
  source: string | null;
  check: string;
  range: Range;
  revision: string;
  marks: readonly Mark[];
}

/** The rates of a check that a reporter named. Nothing where it was not tried in the range. */
export function CheckHistory({ pipeline, source, check, range, revision, marks }: CheckHistoryProps) {
  const { data, refetch } = useQuery(CHECK_HISTORY, {
    client,
    variables: { pipeline, source, check, ...asked(range) },
    fetchPolicy: 'no-cache',
  });
  useFollowing(revision, refetch);
  const points = data?.qualityHistory?.points;
  const [from, lines] = useMemo(() => {
    const values = columnOf(points ?? [], (it) => it?.rate ?? null, range);
    return [startsOf(range), [{ name: title(check), values, color: 1, marks }]] as const;
  }, [points, range, check, marks]);
  if (!points || points.length + marks.length === 0) return null;
  return <Chart title={title(check)} from={from} unit="%" hasGaps lines={lines} />;
}

/** As the cards of the checks have it. */
function title(check: string): string {
  return check.charAt(0).toUpperCase() + check.slice(1);
}
