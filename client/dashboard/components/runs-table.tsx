import { Table } from '@mantine/core';
import { Fragment } from 'react';
import { formatAmount, formatCount, formatName, formatSpan } from '../../src/react/format';
import type { SourceRunsQuery } from '../generated';
import { formatTime } from '../model/format-time';
import { countOf } from '../model/run-buckets';

type Run = SourceRunsQuery['sourceRuns']['nodes'][number];

const STATE_HEALTH = { RUNNING: 'PENDING', OK: 'HEALTHY', FAILED: 'ERROR', ABORTED: 'WARNING', LOST: 'ERROR' } as const;
const STATE_LABELS = { RUNNING: 'Running', OK: 'OK', FAILED: 'Failed', ABORTED: 'Aborted', LOST: 'Lost' } as const;

/** Counts with a column; further ones are listed below their run. */
const MAX_COLUMNS = 6;

/** The columns that at least one run fills. */
function columnsOf(runs: readonly Run[]) {
  const names = new Set(runs.flatMap((run) => run.counts.map((it) => it.name)));
  return {
    counts: [...names].sort().slice(0, MAX_COLUMNS),
    hasAttempts: runs.some((run) => run.attempt !== null),
    hasGeocoding: runs.some((run) => run.geocodingAttempts),
    hasValidation: runs.some((run) => run.validationAttempts),
  };
}

/** The runs of a source, each followed by its error and its log. */
export function RunsTable({ runs }: { runs: readonly Run[] }) {
  const { counts, hasAttempts, hasGeocoding, hasValidation } = columnsOf(runs);
  const columns = 4 + counts.length + Number(hasAttempts) + Number(hasGeocoding) + Number(hasValidation);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
    <section className="scroll-x" tabIndex={0} aria-label="Runs table">
      <Table className="data-table runs-table">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Finished</Table.Th>
            <Table.Th>State</Table.Th>
            {hasAttempts && <Table.Th>Attempt</Table.Th>}
            <Table.Th>Duration</Table.Th>
            {counts.map((name) => (
              <Table.Th key={name}>{formatName(name)}</Table.Th>
            ))}
            {hasGeocoding && <Table.Th>Geocoding</Table.Th>}
            {hasValidation && <Table.Th>Validation</Table.Th>}
            <Table.Th>Run</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Fragment key={run.id}>
              <Table.Tr>
                <Table.Td className="numeric">
                  <span className="nowrap">{run.finishedAt ? formatTime(run.finishedAt, 'second') : '–'}</span>{' '}
                  {run.backfill && <span className="muted">backfill</span>}
                </Table.Td>
                <Table.Td>
                  <span className="health" data-health={STATE_HEALTH[run.state]}>
                    <span>{STATE_LABELS[run.state]}</span>
                  </span>
                </Table.Td>
                {hasAttempts && <Table.Td className="numeric">{run.attempt ?? '–'}</Table.Td>}
                <Table.Td className="numeric nowrap">
                  {run.durationSeconds === null ? '–' : formatSpan(run.durationSeconds)}
                </Table.Td>
                {counts.map((name) => (
                  <Table.Td key={name} className="numeric">
                    {formatOptional(name, countOf(run, name))}
                  </Table.Td>
                ))}
                {hasGeocoding && (
                  <Table.Td className="numeric">{formatRatio(run.geocodingSuccesses, run.geocodingAttempts)}</Table.Td>
                )}
                {hasValidation && (
                  <Table.Td className="numeric">{formatRatio(run.validationPasses, run.validationAttempts)}</Table.Td>
                )}
                <Table.Td>
                  <RunIdentity run={run} />
                </Table.Td>
              </Table.Tr>
              <RunDetails run={run} shownCounts={counts} columns={columns} />
            </Fragment>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

/** The id of a run, the link of its reporter, and its tags. */
function RunIdentity({ run: { id, url, tags, parent } }: { run: Run }) {
  return (
    <div className="run-identity">
      <code title={id}>{id}</code>
      {url && (
        <a href={url} rel="noreferrer">
          logs
        </a>
      )}
      {parent && (
        <span className="muted">
          started by <code>{parent}</code>
        </span>
      )}
      {tags.map((tag) => (
        <span key={tag} className="tag">
          {tag}
        </span>
      ))}
    </div>
  );
}

/** The counts without a column, the error and the log. Renders nothing if the run has none of them. */
function RunDetails({ run, shownCounts, columns }: { run: Run; shownCounts: readonly string[]; columns: number }) {
  const more = run.counts.filter((it) => !shownCounts.includes(it.name));
  if (!run.error && !run.log && more.length === 0) return null;
  return (
    <Table.Tr className="run-details">
      <Table.Td colSpan={columns}>
        {more.length > 0 && (
          <p className="muted numeric">
            {more.map(({ name, value }) => `${formatName(name)}: ${formatAmount(name, value)}`).join(', ')}
          </p>
        )}
        {run.error && <Output className="error" text={run.error} />}
        {run.log && (
          <details>
            <summary>Log</summary>
            <Output text={run.log} />
          </details>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** Text of a program in a fixed font, with its line breaks. */
function Output({ text, className = '' }: { text: string; className?: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
    <pre className={`output ${className}`} tabIndex={0}>
      {text}
    </pre>
  );
}

function formatOptional(name: string, value: number | undefined): string {
  return value === undefined ? '–' : formatAmount(name, value);
}

function formatRatio(successes: number | null, attempts: number | null): string {
  return attempts === null ? '–' : `${formatCount(successes ?? 0)} of ${formatCount(attempts)}`;
}
