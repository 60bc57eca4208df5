import { useState } from 'react';
import { isGrave, type Mark, sentence, sureness } from './anomalies';
import { moment } from './moment';

const FEW = 3;

export interface AnomalyListProps {
  marks: readonly Mark[];
  /** What they are of. */
  label: string;
  /** That which is pointed at or focused, to be shown on the chart; null when it no longer is. */
  onPoint(id: string | null): void;
}

/** What is marked on a chart, in words: the newest first, a few until more are wanted. */
export function AnomalyList({ marks, label, onPoint }: AnomalyListProps) {
  const [isWhole, setWhole] = useState(false);
  if (marks.length === 0) return null;
  const sorted = marks.toSorted(
    (a, b) =>
      b.anomaly.timestamp.localeCompare(a.anomaly.timestamp) || Number(isGrave(b.anomaly)) - Number(isGrave(a.anomaly)),
  );
  return (
    <>
      <ul className="anomalies" aria-label={label}>
        {(isWhole ? sorted : sorted.slice(0, FEW)).map(({ anomaly }) => (
          <li
            key={anomaly.id}
            data-severity={anomaly.severity}
            onMouseEnter={() => onPoint(anomaly.id)}
            onMouseLeave={() => onPoint(null)}
          >
            <button
              type="button"
              className="figures"
              aria-label={`Show on the chart: ${moment(anomaly.timestamp)}`}
              onFocus={() => onPoint(anomaly.id)}
              onBlur={() => onPoint(null)}
            >
              {moment(anomaly.timestamp)}
            </button>{' '}
            <strong>{isGrave(anomaly) ? 'Unusual' : 'Slightly unusual'}</strong>: {sentence(anomaly)}{' '}
            <span className="dim figures">({sureness(anomaly)})</span>
          </li>
        ))}
      </ul>
      {sorted.length > FEW && (
        <button type="button" className="more" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Show fewer' : `Show all ${sorted.length} anomalies`}
        </button>
      )}
    </>
  );
}
