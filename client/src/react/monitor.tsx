import { useEffect, useId, useState } from 'react';
import { FeedError, type Health, type PipelineStatus, type StatusFeedOptions } from '../feed';
import { useAge, useStatusFeed } from './hooks';
import css from './monitor.css?inline';
import { PipewatchProvider } from './provider';
import { ago, count, duration, HEALTH, percent } from './words';

export interface PipelineMonitorProps {
  /** @default 'default' */
  pipeline?: string;
  /** A server other than that of the provider or of the page. */
  url?: string;
  token?: StatusFeedOptions['token'];
}

/** A pipeline's status, live: one import and one line. */
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

/** A constructed sheet needs no second import, and no `unsafe-inline` of a content security policy. */
function adoptStyle() {
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
  useEffect(adoptStyle, []);

  const onRefresh = async () => {
    setRefreshing(true);
    try {
      await refresh();
    } catch (error) {
      // The connection says why.
      if (!(error instanceof FeedError)) throw error;
    } finally {
      setRefreshing(false);
    }
  };

  return (
    <section className="pipewatch" aria-labelledby={title} aria-busy={status === null}>
      <header>
        <h2 id={title}>{status?.pipeline ?? pipeline ?? 'default'}</h2>
        {status && <HealthWord health={status.overallStatus} />}
        <span className="pw-connection" role="status">
          {connection.label}
          {age !== null && age >= 10 && `, as of ${duration(age)} ago`}
        </span>
        <button type="button" onClick={onRefresh} disabled={isRefreshing}>
          Refresh
        </button>
      </header>
      {status ? <Details status={status} /> : <p>No status yet.</p>}
      {connection.error && <p role="alert">{connection.error.message}</p>}
    </section>
  );
}

function HealthWord({ health }: { health: Health }) {
  return <span className={`pw-health pw-${health.toLowerCase()}`}>{HEALTH[health]}</span>;
}

function Details({ status }: { status: PipelineStatus }) {
  const { scrapingHealth: health, dataQuality: quality } = status;
  const now = Date.now();
  return (
    <>
      <dl>
        <Figure name="Sources" value={count(health.sourcesProcessed)} of={`of ${count(health.totalSources)}`} />
        <Figure name="Articles" value={count(health.articlesCollected)} />
        <Figure name="Events" value={count(health.eventsExtracted)} />
        <Figure
          name="Geocoding"
          value={percent(quality.geocodingSuccessRate)}
          of={`${count(quality.geocodingSuccesses)} of ${count(quality.geocodingAttempts)}`}
        />
        <Figure
          name="Validation"
          value={percent(quality.validationPassRate)}
          of={`${count(quality.validationPasses)} of ${count(quality.validationAttempts)}`}
        />
      </dl>
      {health.sources.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">Status</th>
              <th scope="col">Success</th>
              <th scope="col">Last run</th>
            </tr>
          </thead>
          <tbody>
            {health.sources.map((source) => (
              <tr key={source.source}>
                <td>{source.source}</td>
                <td>
                  <HealthWord health={source.status} />
                </td>
                <td>{percent(source.successRate)}</td>
                <td>{ago(source.lastRun, now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {health.sourcesOmitted > 0 && <p>{count(health.sourcesOmitted)} more sources are not listed.</p>}
    </>
  );
}

function Figure({ name, value, of }: { name: string; value: string; of?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} {of && <small>{of}</small>}
      </dd>
    </div>
  );
}
