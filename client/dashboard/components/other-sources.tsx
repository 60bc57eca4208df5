import type { AnomalyMarkers } from '../model/anomaly-markers';
import { hrefs } from '../router';

const MAX_LINKS = 10;

interface OtherSourcesProps {
  pipeline: string;
  sources: AnomalyMarkers['otherSources'];
  /** Whether the server has more anomalies than it returned. */
  isTruncated: boolean;
}

/** Links to the sources whose anomalies the pipeline's charts do not show. */
export function OtherSources({ pipeline, sources, isTruncated }: OtherSourcesProps) {
  return (
    <>
      {sources.length > 0 && (
        <p className="muted">
          Anomalies in individual sources:{' '}
          {sources.slice(0, MAX_LINKS).map(([source, count], index) => (
            <span key={source}>
              {index > 0 && ', '}
              <a href={hrefs.source(pipeline, source)}>{source}</a> ({count})
            </span>
          ))}
          {sources.length > MAX_LINKS && ` and ${sources.length - MAX_LINKS} more`}
        </p>
      )}
      {isTruncated && <p className="muted">Showing the newest 500 anomalies.</p>}
    </>
  );
}
