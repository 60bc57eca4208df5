/** The counts that a run reported; null where it reported none. */
export interface RunCounts {
  readonly finishedAt: string | null;
  readonly articlesCollected: number | null;
  readonly eventsExtracted: number | null;
  readonly geocodingAttempts: number | null;
  readonly geocodingSuccesses: number | null;
  readonly validationAttempts: number | null;
  readonly validationPasses: number | null;
}

/** Columns of a chart: start times in seconds since 1970, and a value for each; null where nothing was reported. */
export interface Buckets {
  readonly from: number[];
  readonly geocoding: (number | null)[];
  readonly validation: (number | null)[];
  readonly articles: (number | null)[];
  readonly events: (number | null)[];
}

/** Round bucket lengths, in seconds. */
const LENGTHS = [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];
const MAX_BUCKETS = 30;

/** Sums runs into buckets of equal length. Rates are computed from sums, never averaged. */
export function runBuckets(runs: readonly RunCounts[]): Buckets {
  const finished = runs.flatMap((run) => (run.finishedAt ? [{ run, at: Date.parse(run.finishedAt) / 1_000 }] : []));
  const result: Buckets = { from: [], geocoding: [], validation: [], articles: [], events: [] };
  if (finished.length === 0) return result;
  const first = Math.min(...finished.map((it) => it.at));
  const last = Math.max(...finished.map((it) => it.at));
  const length =
    LENGTHS.find((it) => (last - first) / it <= MAX_BUCKETS) ??
    Math.ceil((last - first) / MAX_BUCKETS / 86_400) * 86_400;
  const start = Math.floor(first / length);
  for (let index = start; index <= Math.floor(last / length); index += 1) {
    const inside = finished.filter((it) => Math.floor(it.at / length) === index).map((it) => it.run);
    result.from.push(index * length);
    result.geocoding.push(rate(sum(inside, 'geocodingSuccesses'), sum(inside, 'geocodingAttempts')));
    result.validation.push(rate(sum(inside, 'validationPasses'), sum(inside, 'validationAttempts')));
    result.articles.push(sum(inside, 'articlesCollected'));
    result.events.push(sum(inside, 'eventsExtracted'));
  }
  return result;
}

function sum(runs: readonly RunCounts[], field: keyof Omit<RunCounts, 'finishedAt'>): number | null {
  const counts = runs.flatMap((run) => run[field] ?? []);
  return counts.length > 0 ? counts.reduce((total, it) => total + it, 0) : null;
}

function rate(successes: number | null, attempts: number | null): number | null {
  return attempts ? (100 * (successes ?? 0)) / attempts : null;
}
