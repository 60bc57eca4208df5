import { useEffect, useId, useState } from 'react';
import { FeedError, type Health, type PipelineStatus, type StatusFeedOptions } from '../feed';
import {
  formatAge,
  formatAmount,
  formatCount,
  formatDuration,
  formatName,
  formatPercent,
  HEALTH_LABELS,
} from './format';
import { useAge, useStatusFeed } from './hooks';
import css from './monitor.css?inline';
import { PipewatchProvider } from './provider';

export interface PipelineMonitorProps {
  /** @default 'default' */
  pipeline?: string;
  /** The server's URL, if it differs from the provider's and the page's. */
  url?: string;
  token?: StatusFeedOptions['token'];
}

/** A ready-made view of a pipeline's live status. */
export function PipelineMonitor({ pipeline, url, token }: PipelineMonitorProps) {
  const monitor = <Monitor pipeline={pipeline} />;
  if (url === undefined && token === undefined) return monitor;
  return (
    <PipewatchProvider url={url} token={token}>
      {monitor}
    </PipewatchProvider>
  );
}

let sheet: CSSStyleSheet | undefined;

/** A constructed style sheet needs no second import, and no `unsafe-inline` in a content security policy. */
function adoptStyleSheet() {
  if (sheet || typeof CSSStyleSheet === 'undefined' || !('adoptedStyleSheets' in document)) return;
  sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

function Monitor({ pipeline }: { pipeline: string | undefined }) {
  const { status, receivedAt, connection, refresh } = useStatusFeed({ pipeline });
  const [isRefreshing, setRefreshing] = useState(false);
  const age = useAge(receivedAt);
  const title = useId();
  useEffect(adoptStyleSheet, []);

  const onRefresh = async () => {
    setRefreshing(true);
    try {
      await refresh();
    } catch (error) {
      // Shown as `connection.error`.
      if (!(error instanceof FeedError)) throw error;
    } finally {
      setRefreshing(false);
    }
  };

  return (
    <section className="pipewatch" aria-labelledby={title} aria-busy={status === null}>
      <header>
        <h2 id={title}>{status?.pipeline ?? pipeline ?? 'default'}</h2>
        {status && <HealthLabel health={status.overallStatus} />}
        <span className="pw-connection" role="status">
          {connection.label}
          {age !== null && age >= 10 && `, data from ${formatDuration(age)} ago`}
        </span>
        <button type="button" onClick={onRefresh} disabled={isRefreshing}>
          Refresh
        </button>
      </header>
      {status ? <Details status={status} /> : <p>Waiting for data…</p>}
      {connection.error && <p role="alert">{connection.error.message}</p>}
    </section>
  );
}

function HealthLabel({ health }: { health: Health }) {
  return <span className={`pw-health pw-${health.toLowerCase()}`}>{HEALTH_LABELS[health]}</span>;
}

function Details({ status }: { status: PipelineStatus }) {
  const { scrapingHealth: health, dataQuality: quality } = status;
  const now = Date.now();
  return (
    <>
      <dl>
        <Stat
          name="Sources"
          value={formatCount(health.sourcesProcessed)}
          of={`of ${formatCount(health.totalSources)}`}
        />
        {health.counts.map(({ name, value }) => (
          <Stat key={name} name={formatName(name)} value={formatAmount(name, value)} />
        ))}
        {quality.checks
          .filter((it) => it.attempts > 0)
          .map(({ name, rate, passes, attempts }) => (
            <Stat
              key={name}
              name={formatName(name)}
              value={formatPercent(rate)}
              of={`${formatCount(passes)} of ${formatCount(attempts)}`}
            />
          ))}
      </dl>
      {health.sources.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">Status</th>
              <th scope="col">Success rate</th>
              <th scope="col">Last run</th>
            </tr>
          </thead>
          <tbody>
            {health.sources.map((source) => (
              <tr key={source.source}>
                <td>{source.source}</td>
                <td>
                  <HealthLabel health={source.status} />
                </td>
                <td>{formatPercent(source.successRate)}</td>
                <td>{formatAge(source.lastRun, now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {health.sourcesOmitted > 0 && <p>{formatCount(health.sourcesOmitted)} more sources not shown.</p>}
    </>
  );
}

function Stat({ name, value, of }: { name: string; value: string; of?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} {of && <small>{of}</small>}
      </dd>
    </div>
  );
}
