/** What a run counted, as far as it was reported. */
export interface Counted {
  readonly finishedAt: string | null;
  readonly articlesCollected: number | null;
  readonly eventsExtracted: number | null;
  readonly geocodingAttempts: number | null;
  readonly geocodingSuccesses: number | null;
  readonly validationAttempts: number | null;
  readonly validationPasses: number | null;
}

/** Columns as a chart takes them: instants in seconds, and for each what was counted until the next; null where nothing was. */
export interface Buckets {
  readonly from: number[];
  readonly geocoding: (number | null)[];
  readonly validation: (number | null)[];
  readonly articles: (number | null)[];
  readonly events: (number | null)[];
}

/** Lengths that people count in, in seconds. */
const LENGTHS = [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];
const MOST = 30;

/** Sums the runs of equal stretches of time; rates are of the sums, never of other rates. */
export function bucketsOf(runs: readonly Counted[]): Buckets {
  const timed = runs.flatMap((run) => (run.finishedAt ? [{ run, at: Date.parse(run.finishedAt) / 1_000 }] : []));
  const result: Buckets = { from: [], geocoding: [], validation: [], articles: [], events: [] };
  if (timed.length === 0) return result;
  const first = Math.min(...timed.map((it) => it.at));
  const last = Math.max(...timed.map((it) => it.at));
  const length =
    LENGTHS.find((it) => (last - first) / it <= MOST) ?? Math.ceil((last - first) / MOST / 86_400) * 86_400;
  const start = Math.floor(first / length);
  for (let index = start; index <= Math.floor(last / length); index += 1) {
    const inside = timed.filter((it) => Math.floor(it.at / length) === index).map((it) => it.run);
    result.from.push(index * length);
    result.geocoding.push(rate(sum(inside, 'geocodingSuccesses'), sum(inside, 'geocodingAttempts')));
    result.validation.push(rate(sum(inside, 'validationPasses'), sum(inside, 'validationAttempts')));
    result.articles.push(sum(inside, 'articlesCollected'));
    result.events.push(sum(inside, 'eventsExtracted'));
  }
  return result;
}

function sum(runs: readonly Counted[], what: keyof Omit<Counted, 'finishedAt'>): number | null {
  const counts = runs.flatMap((run) => run[what] ?? []);
  return counts.length > 0 ? counts.reduce((total, it) => total + it, 0) : null;
}

function rate(good: number | null, all: number | null): number | null {
  return all ? (100 * (good ?? 0)) / all : null;
}
