import { Button, Table, TextInput, Title } from '@mantine/core';
import { memo, useMemo, useState } from 'react';
import type { PipelineStatus, SourceStatus } from '../../src/feed';
import { formatAge, formatCount, formatName, formatPercent, pluralize } from '../../src/react/format';
import { compareHealth } from '../model/health-order';
import { countOf, type RunCounts } from '../model/run-buckets';
import { hrefs } from '../router';
import { HealthBadge } from './health-badge';
import { Sparkline } from './sparkline';

type Column = 'status' | 'source' | 'successRate' | 'runs' | 'lastRun';
const COLUMNS: readonly (readonly [Column, string])[] = [
  ['source', 'Source'],
  ['status', 'Status'],
  ['lastRun', 'Last run'],
  ['successRate', 'Success rate'],
  ['runs', 'Runs'],
];

/** Created once: `localeCompare` creates a collator per comparison, and sorting 1,000 sources needs 10,000. */
const compareNames = new Intl.Collator('en').compare;

const COMPARE: Record<Column, (a: SourceStatus, b: SourceStatus) => number> = {
  source: (a, b) => compareNames(a.source, b.source),
  status: (a, b) => compareHealth(a.status, b.status) || Number(b.stale) - Number(a.stale),
  successRate: (a, b) => (a.successRate ?? -1) - (b.successRate ?? -1),
  runs: (a, b) => a.runs - b.runs,
  lastRun: (a, b) => Number((a.lastRun ?? '') > (b.lastRun ?? '')) - Number((a.lastRun ?? '') < (b.lastRun ?? '')),
};

/** Further rows are rendered on demand, since updating 1,000 rows every second is slow. */
const INITIAL_ROWS = 50;

/** The last runs of each source, the newest first, as far as they are loaded. */
export type RunsBySource = ReadonlyMap<string, readonly Pick<RunCounts, 'counts'>[]>;

interface SourcesTableProps {
  runs: RunsBySource;
  pipeline: string;
  health: PipelineStatus['scrapingHealth'];
  /** The timestamp of the status, used for ages because the browser's clock may differ. */
  timestamp: string;
}

export function SourcesTable({ pipeline, health, timestamp, runs }: SourcesTableProps) {
  const [sort, setSort] = useState<{ by: Column; isDescending: boolean }>({ by: 'status', isDescending: false });
  const [filter, setFilter] = useState('');
  const [rowLimit, setRowLimit] = useState(INITIAL_ROWS);
  const rows = useMemo(() => {
    const needle = filter.trim().toLowerCase();
    const list = health.sources.filter((it) => it.source.toLowerCase().includes(needle));
    const sign = sort.isDescending ? -1 : 1;
    return list.sort((a, b) => sign * COMPARE[sort.by](a, b) || compareNames(a.source, b.source));
  }, [health.sources, filter, sort]);
  const now = Date.parse(timestamp);
  const count = (health.counts.find((it) => it.name === 'articles') ?? health.counts[0])?.name;
  return (
    <section aria-labelledby="sources">
      <div className="heading">
        <Title order={2} size="h4" id="sources">
          Sources
        </Title>
        {health.totalSources > 8 && (
          <TextInput
            value={filter}
            onChange={(event) => setFilter(event.currentTarget.value)}
            placeholder="Filter"
            aria-label="Filter sources"
            size="sm"
          />
        )}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard */}
      <section className="scroll-x" tabIndex={0} aria-label="Sources table">
        <Table className="data-table">
          <Table.Thead>
            <Table.Tr>
              {COLUMNS.map(([column, name]) => (
                <Table.Th
                  key={column}
                  aria-sort={sort.by !== column ? 'none' : sort.isDescending ? 'descending' : 'ascending'}
                >
                  <button
                    type="button"
                    onClick={() => setSort({ by: column, isDescending: sort.by === column && !sort.isDescending })}
                  >
                    {name}
                    <span aria-hidden="true">{sort.by === column ? (sort.isDescending ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                </Table.Th>
              ))}
              {count && <Table.Th>{formatName(count)}</Table.Th>}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.slice(0, rowLimit).map((it) => (
              <SourceRow
                key={it.source}
                href={hrefs.source(pipeline, it.source)}
                source={it.source}
                status={it.status}
                stale={it.stale}
                rate={formatPercent(it.successRate)}
                runs={it.runs}
                lastRun={formatAge(it.lastRun, now)}
                count={count}
                values={count ? recentValues(runs.get(it.source), count) : ''}
              />
            ))}
          </Table.Tbody>
        </Table>
      </section>
      {rows.length === 0 && <p className="muted">No matching sources.</p>}
      {rows.length > rowLimit && (
        <Button variant="default" size="sm" onClick={() => setRowLimit(Number.POSITIVE_INFINITY)}>
          Show all {formatCount(rows.length)}
        </Button>
      )}
      {health.sourcesOmitted > 0 && (
        <p className="muted">{pluralize(health.sourcesOmitted, 'more source')} not shown.</p>
      )}
    </section>
  );
}

interface RowProps {
  href: string;
  source: string;
  status: SourceStatus['status'];
  stale: boolean;
  rate: string;
  runs: number;
  lastRun: string;
  /** The name of a count. */
  count: string | undefined;
  /** Its values in the last runs, oldest first, joined by commas. */
  values: string;
}

const SPARKLINE_RUNS = 20;

function recentValues(runs: readonly Pick<RunCounts, 'counts'>[] = [], count: string): string {
  const values = runs.flatMap((run) => countOf(run, count) ?? []);
  return values.slice(0, SPARKLINE_RUNS).reverse().join();
}

/** Takes plain values, so that a status that changes one source renders one row. */
const SourceRow = memo(({ href, source, status, stale, rate, runs, lastRun, count, values }: RowProps) => (
  <Table.Tr>
    <Table.Td>
      <a href={href}>{source}</a>
    </Table.Td>
    <Table.Td>
      <HealthBadge health={status} /> {stale && <span className="muted">stale</span>}
    </Table.Td>
    <Table.Td className="numeric">{lastRun}</Table.Td>
    <Table.Td className="numeric">{rate}</Table.Td>
    <Table.Td className="numeric">{formatCount(runs)}</Table.Td>
    {count && (
      <Table.Td>
        <Sparkline
          values={values ? values.split(',').map(Number) : []}
          label={`${formatName(count)} in recent runs: ${values.replaceAll(',', ', ')}`}
        />
      </Table.Td>
    )}
  </Table.Tr>
));
SourceRow.displayName = 'SourceRow';
