import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { client } from '../apollo-client';
import { CheckHistoryDocument } from '../generated';
import { useRefetchOnRevision } from '../hooks/use-refetch-on-revision';
import type { Marker } from '../model/anomaly-markers';
import { type BucketRange, bucketStarts, bucketValues, rangeVariables } from '../model/time-ranges';
import { Chart } from './chart';

interface CheckHistoryProps {
  pipeline: string;
  source: string | null;
  check: string;
  range: BucketRange;
  revision: string;
  markers: readonly Marker[];
}

/** The chart of a custom check. Renders nothing if the check has no data in the range. */
export function CheckHistory({ pipeline, source, check, range, revision, markers }: CheckHistoryProps) {
  const { data, refetch } = useQuery(CheckHistoryDocument, {
    client,
    variables: { pipeline, source, check, ...rangeVariables(range) },
    fetchPolicy: 'no-cache',
  });
  useRefetchOnRevision(revision, refetch);
  const points = data?.qualityHistory?.points;
  const [from, lines] = useMemo(() => {
    const values = bucketValues(points ?? [], (it) => it?.rate ?? null, range);
    return [bucketStarts(range), [{ name: capitalize(check), values, color: 1, markers }]] as const;
  }, [points, range, check, markers]);
  if (!points || points.length + markers.length === 0) return null;
  return <Chart title={capitalize(check)} from={from} unit="%" hasGaps lines={lines} />;
}

function capitalize(check: string): string {
  return check.charAt(0).toUpperCase() + check.slice(1);
}
