import { useQuery } from '@apollo/client/react';
import { Button, Card, Title } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { AlertState, FeedSnapshot, PipelineSummary } from '../../src/feed';
import { useFeeds } from '../../src/react';
import { ago, duration } from '../../src/react/words';
import { ALERTS, client, END_SILENCE } from '../apollo';
import type { AlertsQuery } from '../generated';
import { AlertActions } from '../parts/alert-actions';
import { useAlertSteps, useLook } from '../parts/alert-steps';
import { ConnectionPill } from '../parts/connection-pill';
import { Gone } from '../parts/gone';
import { moment } from '../parts/moment';
import { hrefs } from '../router';
import { useTitle, worst } from '../title';

type Alert = AlertsQuery['open']['nodes'][number];

const GRAVITY = { HIGH: 0, MEDIUM: 1, LOW: 2 } as const;
const GROUPS: readonly { readonly state: AlertState; readonly title: string; readonly none: string | null }[] = [
  { state: 'FIRING', title: 'Firing', none: 'Nothing fires.' },
  { state: 'ACKNOWLEDGED', title: 'Acknowledged', none: null },
  { state: 'PENDING', title: 'Seen, and not yet for long enough', none: null },
  { state: 'RESOLVED', title: 'Resolved', none: null },
];
/** How often to look for what others have silenced, in milliseconds. */
const SILENCES = 30_000;
const SEVERITY = { HIGH: 'high', MEDIUM: 'medium', LOW: 'low' } as const;
/** What somebody should look at, who does, and what is over. */
export default function Alerts({ overview }: { overview: FeedSnapshot<readonly PipelineSummary[]> }) {
  const { value, connection, receivedAt } = overview;
  useTitle('Alerts', worst(value?.map((it) => it.overallStatus) ?? []), connection.state);
  const { data, error, refetch } = useQuery(ALERTS, {
    client,
    fetchPolicy: 'cache-and-network',
    // An answer that is under way may be older than the step for which it is asked for.
    context: { queryDeduplication: false },
  });
  const look = useLook(refetch);
  const feed = useFeeds().overview();
  const isTold = useAlertSteps(feed, look);
  // Where steps are not told, each sign of life of the server is a reason to ask. Silences are no steps.
  const sign = receivedAt && Math.floor(receivedAt / (isTold ? SILENCES : 1));
  useEffect(() => {
    if (sign !== null) look();
  }, [sign, look]);
  const onRefresh = () => Promise.all([feed.refresh(), refetch().catch(() => {})]);
  const alerts = data ? [...data.open.nodes, ...data.resolved.nodes] : [];
  return (
    <>
      <div className="heading">
        <Title order={1} size="h2">
          Alerts
        </Title>
        <ConnectionPill connection={connection} receivedAt={receivedAt} refresh={onRefresh} />
      </div>
      <Gone connection={connection} receivedAt={receivedAt} hasData={data !== undefined} />
      {error && !data && <p role="alert">The alerts could not be loaded: {error.message}</p>}
      {data?.open.pageInfo.hasNextPage && (
        <p className="dim">There are more open alerts than the 500 that are shown.</p>
      )}
      {data && <Silences silences={data.alertSilences} onEnded={refetch} />}
      {data &&
        GROUPS.map(({ state, title, none }) => {
          const group = alerts
            .filter((it) => it.state === state)
            // The gravest first, as long as there is something to do.
            .sort((a, b) => (state === 'RESOLVED' ? 0 : GRAVITY[a.severity] - GRAVITY[b.severity]));
          if (group.length === 0 && none === null) return null;
          return (
            <section key={state} aria-labelledby={state}>
              <Title order={2} size="h4" id={state} mb="sm">
                {title}
              </Title>
              {group.length === 0 && <p className="dim">{none}</p>}
              <ul className="notices">
                {group.map((alert) => (
                  <Row key={alert.id} alert={alert} onChanged={refetch} />
                ))}
              </ul>
            </section>
          );
        })}
    </>
  );
}

function Row({ alert, onChanged }: { alert: Alert; onChanged: () => Promise<unknown> }) {
  const { pipeline, source, severity, title, message, state, startedAt, changedAt } = alert;
  const now = Date.now();
  const isOver = state === 'RESOLVED';
  return (
    <Card component="li" withBorder padding="md" className="alert" data-severity={isOver ? undefined : severity}>
      <div className="heading">
        <Title order={3} size="h5">
          {title}
        </Title>
        <span className="dim figures">
          {isOver
            ? `resolved ${ago(changedAt, now)}, lasted ${duration(Math.round((Date.parse(changedAt) - Date.parse(startedAt)) / 1_000))}`
            : `${SEVERITY[severity]} severity, began ${ago(startedAt, now)}`}
        </span>
      </div>
      <p>{message}</p>
      {alert.acknowledgedBy && (
        <p>
          {alert.acknowledgedBy} looks{alert.note ? `: ${alert.note}` : ''}
        </p>
      )}
      {pipeline && (
        <p className="dim">
          <a href={source ? hrefs.source(pipeline, source) : hrefs.pipeline(pipeline)}>
            {source ? `${pipeline}, ${source}` : pipeline}
          </a>
        </p>
      )}
      {!isOver && <AlertActions alert={alert} onChanged={onChanged} />}
    </Card>
  );
}

function Silences({ silences, onEnded }: { silences: AlertsQuery['alertSilences']; onEnded: () => Promise<unknown> }) {
  const [isBusy, setBusy] = useState(false);
  if (silences.length === 0) return null;
  const end = async (id: string) => {
    setBusy(true);
    await client.mutate({ mutation: END_SILENCE, variables: { id } }).catch(() => {});
    await onEnded().catch(() => {});
    setBusy(false);
  };
  return (
    <section aria-labelledby="silences">
      <Title order={2} size="h4" id="silences" mb="sm">
        Silenced
      </Title>
      <ul className="notices">
        {silences.map((it) => (
          <Card key={it.id} component="li" withBorder padding="sm">
            <div className="heading">
              <span>
                {[it.rule?.toLowerCase().replace('_', ' '), it.pipeline, it.source, it.label]
                  .filter(Boolean)
                  .join(', ') || 'Everything'}{' '}
                until {moment(it.until)} by {it.author}: {it.reason}
              </span>
              <Button size="xs" variant="default" disabled={isBusy} onClick={() => void end(it.id)}>
                End it
              </Button>
            </div>
          </Card>
        ))}
      </ul>
    </section>
  );
}
