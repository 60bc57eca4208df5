import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { formatName } from '../../src/react/format';
import { client } from '../apollo-client';
import { SeriesHistoryDocument } from '../generated';
import { useRefetchOnRevision } from '../hooks/use-refetch-on-revision';
import { type Marker, type Series, seriesKey } from '../model/anomaly-markers';
import { type BucketRange, bucketStarts, bucketValues, rangeVariables } from '../model/time-ranges';
import { Chart, unitOf } from './chart';

interface SeriesHistoryProps {
  pipeline: string;
  source: string | null;
  series: Series;
  range: BucketRange;
  revision: string;
  markers: readonly Marker[];
}

/** The chart of a custom check or of a count. Renders nothing if it has no data in the range. */
export function SeriesHistory({ pipeline, source, series, range, revision, markers }: SeriesHistoryProps) {
  const { name, kind } = series;
  const { data, refetch } = useQuery(SeriesHistoryDocument, {
    client,
    variables: { pipeline, source, check: seriesKey(series), ...rangeVariables(range) },
    fetchPolicy: 'no-cache',
  });
  useRefetchOnRevision(revision, refetch);
  const points = data?.qualityHistory?.points;
  const [from, lines] = useMemo(() => {
    const value = kind === 'check' ? 'rate' : 'total';
    const values = bucketValues(points ?? [], (it) => it?.[value] ?? null, range);
    return [bucketStarts(range), [{ name: formatName(name), values, color: 1, markers }]] as const;
  }, [points, range, name, kind, markers]);
  if (!points || points.length + markers.length === 0) return null;
  return <Chart title={formatName(name)} from={from} unit={unitOf(series)} hasGaps lines={lines} />;
}
