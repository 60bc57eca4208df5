import { useState } from 'react';
import { formatPValue, isHighSeverity, type Marker, withoutPValue } from '../model/anomaly-markers';
import { formatTime } from '../model/format-time';

const COLLAPSED_LENGTH = 3;

interface AnomalyListProps {
  markers: readonly Marker[];
  label: string;
  /** Called with the id of the anomaly under the pointer or the focus, and with null when it leaves. */
  onHighlight(id: string | null): void;
}

/** The anomalies of a chart as text, the newest first. */
export function AnomalyList({ markers, label, onHighlight }: AnomalyListProps) {
  const [isExpanded, setExpanded] = useState(false);
  if (markers.length === 0) return null;
  const sorted = markers.toSorted(
    (a, b) =>
      b.anomaly.timestamp.localeCompare(a.anomaly.timestamp) ||
      Number(isHighSeverity(b.anomaly)) - Number(isHighSeverity(a.anomaly)),
  );
  return (
    <>
      <ul className="anomalies" aria-label={label}>
        {(isExpanded ? sorted : sorted.slice(0, COLLAPSED_LENGTH)).map(({ anomaly }) => (
          <li
            key={anomaly.id}
            data-severity={anomaly.severity}
            onMouseEnter={() => onHighlight(anomaly.id)}
            onMouseLeave={() => onHighlight(null)}
          >
            <button
              type="button"
              className="numeric"
              aria-label={`Show on chart: ${formatTime(anomaly.timestamp)}`}
              onFocus={() => onHighlight(anomaly.id)}
              onBlur={() => onHighlight(null)}
            >
              {formatTime(anomaly.timestamp)}
            </button>{' '}
            <strong>{isHighSeverity(anomaly) ? 'Unusual' : 'Slightly unusual'}</strong>: {withoutPValue(anomaly)}{' '}
            <span className="muted numeric">({formatPValue(anomaly)})</span>
          </li>
        ))}
      </ul>
      {sorted.length > COLLAPSED_LENGTH && (
        <button
          type="button"
          className="link-button"
          aria-expanded={isExpanded}
          onClick={() => setExpanded(!isExpanded)}
        >
          {isExpanded ? 'Show fewer' : `Show all ${sorted.length} anomalies`}
        </button>
      )}
    </>
  );
}
