import { Button, Table, TextInput, Title } from '@mantine/core';
import { memo, useMemo, useState } from 'react';
import type { PipelineStatus, SourceStatus } from '../../src/feed';
import { ago, count, percent } from '../../src/react/words';
import { hrefs } from '../router';
import { bySeverity } from '../title';
import { HealthMark } from './health';
import { Sparkline } from './sparkline';

type Column = 'status' | 'source' | 'successRate' | 'runs' | 'lastRun';
const COLUMNS: readonly (readonly [Column, string])[] = [
  ['source', 'Source'],
  ['status', 'Status'],
  ['lastRun', 'Last run'],
  ['successRate', 'Success'],
  ['runs', 'Runs'],
];

/** Made once: `localeCompare` makes one anew with each comparison, of which a thousand sources need ten thousand. */
const byName = new Intl.Collator('en').compare;

const COMPARE: Record<Column, (a: SourceStatus, b: SourceStatus) => number> = {
  source: (a, b) => byName(a.source, b.source),
  status: (a, b) => bySeverity(a.status, b.status) || Number(b.stale) - Number(a.stale),
  successRate: (a, b) => (a.successRate ?? -1) - (b.successRate ?? -1),
  runs: (a, b) => a.runs - b.runs,
  lastRun: (a, b) => Number((a.lastRun ?? '') > (b.lastRun ?? '')) - Number((a.lastRun ?? '') < (b.lastRun ?? '')),
};

/** Rows beyond these are rendered on demand: a thousand of them each second are more than anybody reads. */
const ROWS = 50;

/** The last runs of sources, the newest first, as far as they are loaded. */
export type RunsBySource = ReadonlyMap<string, readonly { readonly articlesCollected: number | null }[]>;

export interface SourcesTableProps {
  runs: RunsBySource;
  pipeline: string;
  health: PipelineStatus['scrapingHealth'];
  /** The status's instant, from which ages are told: the browser's clock may differ. */
  timestamp: string;
}

export function SourcesTable({ pipeline, health, timestamp, runs }: SourcesTableProps) {
  const [sort, setSort] = useState<{ by: Column; isDown: boolean }>({ by: 'status', isDown: false });
  const [filter, setFilter] = useState('');
  const [shown, setShown] = useState(ROWS);
  const rows = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    const list = health.sources.filter((it) => it.source.toLowerCase().includes(wanted));
    const sign = sort.isDown ? -1 : 1;
    return list.sort((a, b) => sign * COMPARE[sort.by](a, b) || byName(a.source, b.source));
  }, [health.sources, filter, sort]);
  const now = Date.parse(timestamp);
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
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className="scroll" tabIndex={0} aria-label="The list of sources">
        <Table className="sources">
          <Table.Thead>
            <Table.Tr>
              {COLUMNS.map(([column, name]) => (
                <Table.Th
                  key={column}
                  aria-sort={sort.by !== column ? 'none' : sort.isDown ? 'descending' : 'ascending'}
                >
                  <button
                    type="button"
                    onClick={() => setSort({ by: column, isDown: sort.by === column && !sort.isDown })}
                  >
                    {name}
                    <span aria-hidden="true">{sort.by === column ? (sort.isDown ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                </Table.Th>
              ))}
              <Table.Th>Articles</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.slice(0, shown).map((it) => (
              <Row
                key={it.source}
                href={hrefs.source(pipeline, it.source)}
                source={it.source}
                status={it.status}
                stale={it.stale}
                rate={percent(it.successRate)}
                runs={it.runs}
                last={ago(it.lastRun, now)}
                articles={articlesOf(runs.get(it.source))}
              />
            ))}
          </Table.Tbody>
        </Table>
      </section>
      {rows.length === 0 && <p className="dim">No source matches.</p>}
      {rows.length > shown && (
        <Button variant="default" size="sm" onClick={() => setShown(Number.POSITIVE_INFINITY)}>
          Show all {count(rows.length)}
        </Button>
      )}
      {health.sourcesOmitted > 0 && <p className="dim">{count(health.sourcesOmitted)} more are not listed.</p>}
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
  last: string;
  /** Of the last runs, oldest first, with commas. */
  articles: string;
}

const SHOWN = 20;

function articlesOf(runs: RunsBySource extends ReadonlyMap<string, infer Runs> ? Runs | undefined : never): string {
  const counts = (runs ?? []).flatMap((run) => run.articlesCollected ?? []);
  return counts.slice(0, SHOWN).reverse().join();
}

/** Of plain values, so that a status that changes one source renders one row. */
const Row = memo(({ href, source, status, stale, rate, runs, last, articles }: RowProps) => (
  <Table.Tr>
    <Table.Td>
      <a href={href}>{source}</a>
    </Table.Td>
    <Table.Td>
      <HealthMark health={status} /> {stale && <span className="dim">silent</span>}
    </Table.Td>
    <Table.Td className="figures">{last}</Table.Td>
    <Table.Td className="figures">{rate}</Table.Td>
    <Table.Td className="figures">{count(runs)}</Table.Td>
    <Table.Td>
      <Sparkline
        values={articles ? articles.split(',').map(Number) : []}
        label={`Articles of the last runs: ${articles}`}
      />
    </Table.Td>
  </Table.Tr>
));
Row.displayName = 'Row';
