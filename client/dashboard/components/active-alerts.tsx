import { Alert } from '@mantine/core';
import type { AlertState, PipelineStatus } from '../../src/feed';
import { pluralize } from '../../src/react/format';
import { hrefs } from '../router';

const STATE_LABELS: Record<AlertState, string> = {
  PENDING: 'Pending',
  FIRING: 'Firing',
  ACKNOWLEDGED: 'Acknowledged',
  RESOLVED: 'Resolved',
};

const COLORS = { HIGH: 'red', MEDIUM: 'orange', LOW: 'gray' } as const;

/** The open alerts and the anomalies of a status. */
export function ActiveAlerts({ status }: { status: PipelineStatus }) {
  const { alerts, anomalies, alertsOmitted, anomaliesOmitted } = status;
  if (alerts.length + anomalies.length === 0) return null;
  return (
    <section aria-label="Alerts and anomalies" className="stack">
      {alerts.map((it) => (
        <Alert key={it.id} color={COLORS[it.severity]} variant="outline" title={it.title}>
          {it.message}
          <div className="muted">
            {STATE_LABELS[it.state]}
            {it.source && ` · ${it.source}`}
          </div>
        </Alert>
      ))}
      {anomalies.map((it) => (
        <Alert
          key={it.id}
          color={COLORS[it.severity]}
          variant="outline"
          title={it.type === 'VOLUME' ? 'Unusual volume' : 'Unusual rate'}
        >
          {it.description}
          {it.source && <div className="muted">{it.source}</div>}
        </Alert>
      ))}
      {alertsOmitted > 0 && <p className="muted">{pluralize(alertsOmitted, 'more alert')} not shown.</p>}
      {anomaliesOmitted > 0 && (
        <p className="muted">
          {anomaliesOmitted === 1 ? '1 more anomaly' : `${anomaliesOmitted.toLocaleString('en')} more anomalies`} not
          shown.
        </p>
      )}
      {alerts.length > 0 && (
        <a href={hrefs.alerts} className="muted">
          All alerts
        </a>
      )}
    </section>
  );
}
