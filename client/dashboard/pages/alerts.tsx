import { useQuery } from '@apollo/client/react';
import { Button, Card, Title } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { AlertState, FeedSnapshot, PipelineSummary } from '../../src/feed';
import { useFeeds } from '../../src/react';
import { formatAge, formatDuration } from '../../src/react/format';
import { client } from '../apollo-client';
import { AlertActions } from '../components/alert-actions';
import { ConnectionStatus } from '../components/connection-status';
import { OfflineBanner } from '../components/offline-banner';
import {
  type AlertFieldsFragment,
  type AlertRule,
  AlertsDocument,
  type AlertsQuery,
  EndSilenceDocument,
} from '../generated';
import { useAlertEvents } from '../hooks/use-alert-events';
import { useCoalescedRefetch } from '../hooks/use-coalesced-refetch';
import { useDocumentTitle } from '../hooks/use-document-title';
import { formatTime } from '../model/format-time';
import { worstHealth } from '../model/health-order';
import { hrefs } from '../router';

const SEVERITY_ORDER = { HIGH: 0, MEDIUM: 1, LOW: 2 } as const;
const GROUPS: readonly { readonly state: AlertState; readonly title: string; readonly emptyText: string | null }[] = [
  { state: 'FIRING', title: 'Firing', emptyText: 'No firing alerts.' },
  { state: 'ACKNOWLEDGED', title: 'Acknowledged', emptyText: null },
  { state: 'PENDING', title: 'Pending', emptyText: null },
  { state: 'RESOLVED', title: 'Resolved', emptyText: null },
];
/** How often to reload the silences, in milliseconds: changes to them send no events. */
const SILENCES_INTERVAL = 30_000;
const RULE_LABELS: Record<AlertRule, string> = {
  THRESHOLD: 'Threshold',
  OVERDUE: 'Overdue source',
  DEAD_FEED: 'Dead feed',
  ANOMALY: 'Anomaly',
  SERVER: 'Server',
};

const SEVERITY_LABELS = { HIGH: 'High', MEDIUM: 'Medium', LOW: 'Low' } as const;
/** Open and resolved alerts, and the silences. */
export default function Alerts({ overview }: { overview: FeedSnapshot<readonly PipelineSummary[]> }) {
  const { value, connection, receivedAt } = overview;
  useDocumentTitle('Alerts', worstHealth(value?.map((it) => it.overallStatus) ?? []), connection.state);
  const { data, error, refetch } = useQuery(AlertsDocument, {
    client,
    fetchPolicy: 'cache-and-network',
    // A pending response may be older than the event that triggers the refetch.
    context: { queryDeduplication: false },
  });
  const reload = useCoalescedRefetch(refetch);
  const feed = useFeeds().overview();
  const hasEvents = useAlertEvents(feed, reload);
  // Without events, reload whenever the server confirms its status.
  const reloadKey = receivedAt && Math.floor(receivedAt / (hasEvents ? SILENCES_INTERVAL : 1));
  useEffect(() => {
    if (reloadKey !== null) reload();
  }, [reloadKey, reload]);
  const onRefresh = () => Promise.all([feed.refresh(), refetch().catch(() => {})]);
  const alerts = data ? [...data.open.nodes, ...data.resolved.nodes] : [];
  return (
    <>
      <div className="heading">
        <Title order={1} size="h2">
          Alerts
        </Title>
        <ConnectionStatus connection={connection} receivedAt={receivedAt} refresh={onRefresh} />
      </div>
      <OfflineBanner connection={connection} receivedAt={receivedAt} hasData={data !== undefined} />
      {error && !data && <p role="alert">Failed to load the alerts: {error.message}</p>}
      {data?.open.pageInfo.hasNextPage && <p className="muted">Showing the first 500 open alerts.</p>}
      {data && <Silences silences={data.alertSilences} onChanged={refetch} />}
      {data &&
        GROUPS.map(({ state, title, emptyText }) => {
          const group = alerts
            .filter((it) => it.state === state)
            // Open alerts are sorted by severity, resolved ones by time.
            .sort((a, b) => (state === 'RESOLVED' ? 0 : SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity]));
          if (group.length === 0 && emptyText === null) return null;
          return (
            <section key={state} aria-labelledby={state}>
              <Title order={2} size="h4" id={state} mb="sm">
                {title}
              </Title>
              {group.length === 0 && <p className="muted">{emptyText}</p>}
              <ul className="stack">
                {group.map((alert) => (
                  <AlertCard key={alert.id} alert={alert} onChanged={refetch} />
                ))}
              </ul>
            </section>
          );
        })}
    </>
  );
}

function AlertCard({ alert, onChanged }: { alert: AlertFieldsFragment; onChanged: () => Promise<unknown> }) {
  const { pipeline, source, severity, title, message, state, startedAt, changedAt } = alert;
  const now = Date.now();
  const isResolved = state === 'RESOLVED';
  return (
    <Card
      component="li"
      withBorder
      padding="md"
      className="alert-card"
      data-severity={isResolved ? undefined : severity}
    >
      <div className="heading">
        <Title order={3} size="h5">
          {title}
        </Title>
        <span className="muted numeric">
          {isResolved
            ? `Resolved ${formatAge(changedAt, now)} after ${formatDuration(Math.round((Date.parse(changedAt) - Date.parse(startedAt)) / 1_000))}`
            : `${SEVERITY_LABELS[severity]} severity, started ${formatAge(startedAt, now)}`}
        </span>
      </div>
      <p>{message}</p>
      {alert.acknowledgedBy && (
        <p>
          Acknowledged by {alert.acknowledgedBy}
          {alert.note && `: ${alert.note}`}
        </p>
      )}
      {pipeline && (
        <p className="muted">
          <a href={source ? hrefs.source(pipeline, source) : hrefs.pipeline(pipeline)}>
            {source ? `${pipeline}, ${source}` : pipeline}
          </a>
        </p>
      )}
      {!isResolved && <AlertActions alert={alert} onChanged={onChanged} />}
    </Card>
  );
}

function Silences({
  silences,
  onChanged,
}: {
  silences: AlertsQuery['alertSilences'];
  onChanged: () => Promise<unknown>;
}) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  if (silences.length === 0) return null;
  const expire = async (id: string) => {
    setBusy(true);
    try {
      await client.mutate({ mutation: EndSilenceDocument, variables: { id } });
      setError(null);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : 'The request failed.');
    }
    await onChanged().catch(() => {});
    setBusy(false);
  };
  return (
    <section aria-labelledby="silences">
      <Title order={2} size="h4" id="silences" mb="sm">
        Silences
      </Title>
      <ul className="stack">
        {silences.map((it) => (
          <Card key={it.id} component="li" withBorder padding="sm">
            <div className="heading">
              <span>
                {[it.rule && RULE_LABELS[it.rule], it.pipeline, it.source, it.label].filter(Boolean).join(', ') ||
                  'All alerts'}{' '}
                until {formatTime(it.until)} by {it.author}: {it.reason}
              </span>
              <Button size="xs" variant="default" disabled={isBusy} onClick={() => void expire(it.id)}>
                Expire
              </Button>
            </div>
          </Card>
        ))}
      </ul>
      {error && <p role="alert">{error}</p>}
    </section>
  );
}
