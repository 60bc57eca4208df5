/** What the charts use of a run. */
export interface RunCounts {
  readonly finishedAt: string | null;
  readonly counts: readonly { readonly name: string; readonly value: number }[];
  readonly geocodingAttempts: number | null;
  readonly geocodingSuccesses: number | null;
  readonly validationAttempts: number | null;
  readonly validationPasses: number | null;
}

/** A value for each column of a chart; null where nothing was reported. */
export type Values = readonly (number | null)[];

/** Columns of a chart: start times in seconds since 1970, and the values of each check and count by name. */
export interface Buckets {
  readonly from: readonly number[];
  readonly rates: ReadonlyMap<string, Values>;
  readonly counts: ReadonlyMap<string, Values>;
}

/** Round bucket lengths, in seconds. */
const LENGTHS = [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];
const MAX_BUCKETS = 30;

/** Sums runs into buckets of equal length. Rates are computed from sums, never averaged. */
export function runBuckets(runs: readonly RunCounts[]): Buckets {
  const finished = runs.flatMap((run) => (run.finishedAt ? [{ run, at: Date.parse(run.finishedAt) / 1_000 }] : []));
  if (finished.length === 0) return { from: [], rates: new Map(), counts: new Map() };
  const first = Math.min(...finished.map((it) => it.at));
  const last = Math.max(...finished.map((it) => it.at));
  const length =
    LENGTHS.find((it) => (last - first) / it <= MAX_BUCKETS) ??
    Math.ceil((last - first) / MAX_BUCKETS / 86_400) * 86_400;
  const start = Math.floor(first / length);
  const buckets = Array.from({ length: Math.floor(last / length) - start + 1 }, (): RunCounts[] => []);
  for (const { run, at } of finished) buckets[Math.floor(at / length) - start]?.push(run);
  const names = new Set(finished.flatMap(({ run }) => run.counts.map((it) => it.name)));
  const rate = (
    attempts: 'geocodingAttempts' | 'validationAttempts',
    passes: 'geocodingSuccesses' | 'validationPasses',
  ) =>
    buckets.map((inside) => {
      const all = sum(inside.map((it) => it[attempts]));
      return all ? (100 * (sum(inside.map((it) => it[passes])) ?? 0)) / all : null;
    });
  return {
    from: buckets.map((_, index) => (start + index) * length),
    rates: new Map([
      ['geocoding', rate('geocodingAttempts', 'geocodingSuccesses')],
      ['validation', rate('validationAttempts', 'validationPasses')],
    ]),
    counts: new Map(
      [...names]
        .sort()
        .map((name) => [name, buckets.map((inside) => sum(inside.map((run) => countOf(run, name) ?? null)))]),
    ),
  };
}

/** The count of a run; undefined if it was not reported. */
export function countOf(run: Pick<RunCounts, 'counts'>, name: string): number | undefined {
  return run.counts.find((it) => it.name === name)?.value;
}

function sum(values: Values): number | null {
  return values.reduce((total, it) => (it === null ? total : (total ?? 0) + it), null);
}
