import { useQuery } from '@apollo/client/react';
import { Button, Table, Title } from '@mantine/core';
import { useState } from 'react';
import { useStatusFeed } from '../../src/react';
import { count, counted, duration, percent } from '../../src/react/words';
import { client, RUNS_OF_SOURCE } from '../apollo';
import type { RunsOfSourceQuery } from '../generated';
import { namesOf } from '../parts/checks';
import { ConnectionPill } from '../parts/connection-pill';
import { Gone } from '../parts/gone';
import { HealthMark } from '../parts/health';
import { History } from '../parts/history';
import { moment } from '../parts/moment';
import { SpanChoice } from '../parts/span-choice';
import type { Span } from '../parts/spans';
import { hrefs } from '../router';
import { useTitle } from '../title';

type Run = RunsOfSourceQuery['sourceRuns']['nodes'][number];

const PAGE = 50;
const SPANS: readonly Span[] = ['24 h', '7 d', '90 d'];
const STATE = { RUNNING: 'PENDING', OK: 'HEALTHY', FAILED: 'ERROR', ABORTED: 'WARNING', LOST: 'ERROR' } as const;

/** One source: its runs, and what went wrong in them. */
export default function Source({ pipeline, source }: { pipeline: string; source: string }) {
  const { status, receivedAt, connection, refresh } = useStatusFeed({ pipeline });
  const mine = status?.scrapingHealth.sources.find((it) => it.source === source);
  useTitle(`${source} · ${pipeline}`, mine?.status ?? null, connection.state);
  const { data, error, fetchMore, refetch } = useQuery(RUNS_OF_SOURCE, {
    client,
    variables: { pipeline, source, first: PAGE },
    fetchPolicy: 'cache-and-network',
  });
  const [isLoading, setLoading] = useState(false);
  const [span, setSpan] = useState<Span>('24 h');
  const runs = data?.sourceRuns.nodes ?? [];
  const more = async () => {
    setLoading(true);
    await fetchMore({ variables: { after: data?.sourceRuns.pageInfo.endCursor ?? null } }).catch(() => {});
    setLoading(false);
  };
  const onRefresh = () => Promise.all([refresh(), refetch().catch(() => {})]);
  return (
    <>
      <div className="heading">
        <div>
          <a href={hrefs.pipeline(pipeline)} className="dim">
            {pipeline}
          </a>
          <div className="name">
            <Title order={1} size="h2">
              {source}
            </Title>
            {mine && <HealthMark health={mine.status} />}
          </div>
          {mine && (
            <p className="dim figures">
              {counted(mine.runs, 'run')} in the window, {percent(mine.successRate)} succeeded
              {mine.stale && '; silent for too long'}
            </p>
          )}
        </div>
        <ConnectionPill connection={connection} receivedAt={receivedAt} refresh={onRefresh} />
      </div>
      <Gone connection={connection} receivedAt={receivedAt} hasData={status !== null} />
      {error && !data && <p role="alert">The runs could not be loaded: {error.message}</p>}
      {data && runs.length === 0 && <p>No run of this source is known.</p>}
      {status && (
        <section aria-labelledby="history">
          <div className="heading">
            <Title order={2} size="h4" id="history">
              History
            </Title>
            <SpanChoice spans={SPANS} chosen={span} onChoose={setSpan} />
          </div>
          <History
            pipeline={pipeline}
            source={source}
            span={span}
            checks={namesOf(status.dataQuality.checks)}
            revision={status.revision}
          />
        </section>
      )}
      {runs.length > 0 && (
        <Title order={2} size="h4" mt="xl" mb="sm">
          Runs
        </Title>
      )}
      {runs.length > 0 && <Runs runs={runs} />}
      {data?.sourceRuns.pageInfo.hasNextPage && (
        <Button variant="default" onClick={more} loading={isLoading}>
          Show older runs
        </Button>
      )}
    </>
  );
}

function Runs({ runs }: { runs: readonly Run[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="scroll" tabIndex={0} aria-label="Runs">
      <Table className="sources">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Finished</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Error</Table.Th>
            <Table.Th>Took</Table.Th>
            <Table.Th>Articles</Table.Th>
            <Table.Th>Events</Table.Th>
            <Table.Th>Geocoding</Table.Th>
            <Table.Th>Validation</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td className="figures">
                <span className="whole">{run.finishedAt ? moment(run.finishedAt, 'second') : '–'}</span>{' '}
                {run.backfill && <span className="dim">reported late</span>}
              </Table.Td>
              <Table.Td>
                <span className="health" data-health={STATE[run.state]}>
                  <span>{run.state.toLowerCase()}</span>
                </span>
              </Table.Td>
              <Table.Td className="error">{run.error ?? ''}</Table.Td>
              <Table.Td className="figures">{took(run)}</Table.Td>
              <Table.Td className="figures">{known(run.articlesCollected)}</Table.Td>
              <Table.Td className="figures">{known(run.eventsExtracted)}</Table.Td>
              <Table.Td className="figures">{outOf(run.geocodingSuccesses, run.geocodingAttempts)}</Table.Td>
              <Table.Td className="figures">{outOf(run.validationPasses, run.validationAttempts)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

function known(value: number | null): string {
  return value === null ? '–' : count(value);
}

function outOf(good: number | null, all: number | null): string {
  return all === null ? '–' : `${count(good ?? 0)} of ${count(all)}`;
}

function took({ startedAt, finishedAt }: Run): string {
  if (!startedAt || !finishedAt) return '–';
  return duration(Math.round((Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000));
}
