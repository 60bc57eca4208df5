import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { client } from '../apollo-client';
import { HistoryDocument, type HistoryQuery } from '../generated';
import { useRefetchOnRevision } from '../hooks/use-refetch-on-revision';
import { anomalyMarkers, customSeries, type Marker, seriesKey } from '../model/anomaly-markers';
import { bucketRange, historyBuckets, rangeVariables, type TimeRange } from '../model/time-ranges';
import { OtherSources } from './other-sources';
import { SeriesHistory } from './series-history';
import { TrendCharts } from './trend-charts';

interface HistoryProps {
  pipeline: string;
  source?: string;
  timeRange: TimeRange;
  /** The names of the status's checks, joined by commas. */
  checks: string;
  /** The names of the status's counts, joined by commas. */
  counts: string;
  /** The revision of the newest status: the history is loaded again when it changes. */
  revision: string;
}

const NO_MARKERS: readonly Marker[] = [];

function splitNames(names: string): string[] {
  return names.split(',').filter(Boolean);
}

/** The hourly or daily totals of a pipeline or of one source. */
export function History({ pipeline, source, timeRange, checks, counts, revision }: HistoryProps) {
  // The range moves once an hour, so that the variables are stable between renders.
  const hour = Math.floor(Date.now() / 3_600_000);
  const range = useMemo(() => bucketRange(timeRange, hour * 3_600_000), [timeRange, hour]);
  const { data, error, refetch } = useQuery(HistoryDocument, {
    client,
    variables: { pipeline, source: source ?? null, ...rangeVariables(range) },
    fetchPolicy: 'no-cache',
  });
  useRefetchOnRevision(error ? `${revision} ${Boolean(error)}` : revision, refetch);
  // The type allows for partial data, which occurs only with @defer.
  const history = data as HistoryQuery | undefined;
  const buckets = useMemo(() => history && historyBuckets(history, range), [history, range]);
  const markers = useMemo(
    () => history && anomalyMarkers(history.anomalies.nodes, source ?? null, range),
    [history, source, range],
  );
  const series = useMemo(
    () => (markers ? customSeries(splitNames(checks), splitNames(counts), markers) : []),
    [checks, counts, markers],
  );
  if (error && !history) return <p className="muted">Failed to load the history: {error.message}</p>;
  if (!history || !buckets || !markers) return <p className="muted">Loading…</p>;
  return (
    <>
      <TrendCharts buckets={buckets} markers={markers} hasGaps>
        {series.map((it) => (
          <SeriesHistory
            key={seriesKey(it)}
            pipeline={pipeline}
            source={source ?? null}
            series={it}
            range={range}
            revision={revision}
            markers={markers.bySeries.get(seriesKey(it)) ?? NO_MARKERS}
          />
        ))}
      </TrendCharts>
      <OtherSources
        pipeline={pipeline}
        sources={markers.otherSources}
        isTruncated={history.anomalies.pageInfo.hasNextPage}
      />
    </>
  );
}
