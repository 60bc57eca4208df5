import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';
import { client, HISTORY } from '../apollo';
import type { HistoryQuery } from '../generated';
import { hrefs } from '../router';
import { type Found, foundIn, furtherChecks, type Mark } from './anomalies';
import { Charts } from './charts';
import { CheckHistory } from './check-history';
import { useFollowing } from './following';
import { asked, historyOf, rangeOf, type Span } from './spans';

export interface HistoryProps {
  pipeline: string;
  source?: string;
  span: Span;
  /** The names of the checks that the status has, with commas between them. */
  checks: string;
  /** Of the newest status: a change is followed. */
  revision: string;
}

/** The roll-ups of a pipeline or of one of its sources. */
export function History({ pipeline, source, span, checks, revision }: HistoryProps) {
  // The range moves with the hour: the variables must not change with each rendering.
  const hour = Math.floor(Date.now() / 3_600_000);
  const range = useMemo(() => rangeOf(span, hour * 3_600_000), [span, hour]);
  const { data, error, refetch } = useQuery(HISTORY, {
    client,
    variables: { pipeline, source: source ?? null, ...asked(range) },
    fetchPolicy: 'no-cache',
  });
  useFollowing(error ? `${revision} ${Boolean(error)}` : revision, refetch);
  // All of it: what is asked for has no parts that come later.
  const answer = data as HistoryQuery | undefined;
  const buckets = useMemo(() => answer && historyOf(answer, range), [answer, range]);
  const found = useMemo(
    () => answer && foundIn(answer.anomalies.nodes, source ?? null, range),
    [answer, source, range],
  );
  if (error && !answer) return <p className="dim">The history could not be loaded: {error.message}</p>;
  if (!answer || !buckets || !found) return <p className="dim">Loading…</p>;
  return (
    <>
      <Charts buckets={buckets} found={found} hasGaps>
        {furtherChecks(checks.split(',').filter(Boolean), found).map((check) => (
          <CheckHistory
            key={check}
            pipeline={pipeline}
            source={source ?? null}
            check={check}
            range={range}
            revision={revision}
            marks={found.marks.get(check) ?? NONE}
          />
        ))}
      </Charts>
      <Elsewhere pipeline={pipeline} found={found} isPart={answer.anomalies.pageInfo.hasNextPage} />
    </>
  );
}

/** What is unusual about single sources is on their own pages. */
export function Elsewhere({ pipeline, found, isPart }: { pipeline: string; found: Found; isPart: boolean }) {
  const { elsewhere } = found;
  return (
    <>
      {elsewhere.length > 0 && (
        <p className="dim">
          Anomalies of single sources:{' '}
          {elsewhere.slice(0, MOST).map(([source, count], index) => (
            <span key={source}>
              {index > 0 && ', '}
              <a href={hrefs.source(pipeline, source)}>{source}</a> ({count})
            </span>
          ))}
          {elsewhere.length > MOST && ` and of ${elsewhere.length - MOST} more`}
        </p>
      )}
      {isPart && <p className="dim">There are more anomalies than the newest 500, which are shown.</p>}
    </>
  );
}

const MOST = 10;
const NONE: readonly Mark[] = [];
