import { Alert as Notice } from '@mantine/core';
import type { PipelineStatus } from '../../src/feed';
import { count } from '../../src/react/words';
import { hrefs } from '../router';

const COLOR = { HIGH: 'red', MEDIUM: 'orange', LOW: 'gray' } as const;

/** What the status says that somebody should know. */
export function Notices({ status }: { status: PipelineStatus }) {
  const { alerts, anomalies } = status;
  if (alerts.length + anomalies.length === 0) return null;
  return (
    <section aria-label="Alerts and anomalies" className="notices">
      {alerts.map((it) => (
        <Notice key={it.id} color={COLOR[it.severity]} variant="outline" title={it.title}>
          {it.message}{' '}
          <span className="dim">
            {it.state.toLowerCase()}
            {it.source && `, ${it.source}`}
          </span>
        </Notice>
      ))}
      {anomalies.map((it) => (
        <Notice
          key={it.id}
          color={COLOR[it.severity]}
          variant="outline"
          title={it.type === 'VOLUME' ? 'Unusual volume' : 'Unusual quality'}
        >
          {it.description} {it.source && <span className="dim">{it.source}</span>}
        </Notice>
      ))}
      {status.alertsOmitted > 0 && <p className="dim">{count(status.alertsOmitted)} more alerts are not listed.</p>}
      {status.anomaliesOmitted > 0 && (
        <p className="dim">{count(status.anomaliesOmitted)} more anomalies are not listed.</p>
      )}
      {alerts.length > 0 && (
        <a href={hrefs.alerts} className="dim">
          All alerts
        </a>
      )}
    </section>
  );
}
