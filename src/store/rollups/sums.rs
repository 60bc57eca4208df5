//! Updates roll-ups in the transaction of the reports that they sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr};

use crate::domain::check::Quality;
use crate::domain::counts::add_counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::rollup::{Bucket, RollupBasis, Series};
use crate::domain::time::Timestamp;
use crate::store::statements::{execute, text};
use crate::store::transaction::Transaction;

/// Rows per statement: a JSON text of a few hundred kilobytes.
const MAX_ROWS_PER_STATEMENT: usize = 5_000;

/// What a report's numbers are added to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store) struct RollupKey {
    pipeline: PipelineKey,
    source: Option<SourceKey>,
    basis: RollupBasis,
    hour: Timestamp,
}

impl RollupKey {
    pub(in crate::store) fn new(
        pipeline: &PipelineKey,
        source: Option<&SourceKey>,
        basis: RollupBasis,
        instant: Timestamp,
    ) -> Self {
        Self { pipeline: pipeline.clone(), source: source.cloned(), basis, hour: Bucket::Hour.start_of(instant) }
    }
}

/// The sums of a batch of reports. Many reports share few hours and sources, so they result in few rows.
#[derive(Debug, Default)]
pub(in crate::store) struct RollupSums {
    by_key: HashMap<RollupKey, Vec<(String, Sums)>>,
    /// Hours in which a check was reported.
    reported: BTreeSet<(PipelineKey, Timestamp)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    runs: u64,
    total: u64,
    passes: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.runs = add_counts(self.runs, other.runs);
        self.total = add_counts(self.total, other.total);
        self.passes = add_counts(self.passes, other.passes);
    }
}

/// A row's key: pipeline, source, bucket, basis, start and series, in the order of the table's primary key.
type RowKey<'a> = (&'a str, &'a str, &'static str, &'static str, Timestamp, &'a str);

impl RollupSums {
    /// Adds a report's checks and volumes, by name. Checks without attempts are left out; a volume of 0 counts.
    pub(in crate::store) fn add(
        &mut self,
        key: RollupKey,
        quality: Option<&Quality>,
        volumes: impl Iterator<Item = (Series, u64)>,
    ) {
        if quality.is_some() {
            self.reported.insert((key.pipeline.clone(), key.hour));
        }
        let series = self.by_key.entry(key).or_default();
        let mut add = |name: &str, sums| match series.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.add(sums),
            None => series.push((name.to_owned(), sums)),
        };
        for (name, counts) in quality.into_iter().flat_map(Quality::checks) {
            if counts.attempts() > 0 {
                add(name.as_str(), Sums { runs: 1, total: counts.attempts(), passes: counts.successes() });
            }
        }
        for (name, volume) in volumes {
            add(name.as_str(), Sums { runs: 1, total: volume, passes: 0 });
        }
    }

    /// Adds the sums to the stored ones. The pipelines' rows must be locked, so that the order of rows cannot cause a
    /// deadlock.
    pub(in crate::store) async fn write(&self, transaction: &Transaction) -> Result<(), DbErr> {
        let rows: Vec<_> = self
            .rows()
            .into_iter()
            .map(|((pipeline, source, bucket, basis, start, series), sums)| {
                (pipeline, source, bucket, basis, text(start), series, sums.runs, sums.total, sums.passes)
            })
            .collect();
        for rows in rows.chunks(MAX_ROWS_PER_STATEMENT) {
            execute(transaction, add_rows(transaction.get_database_backend()), rows).await?;
        }
        let hours: Vec<_> = self.reported.iter().map(|(pipeline, hour)| (pipeline, text(*hour))).collect();
        for hours in hours.chunks(MAX_ROWS_PER_STATEMENT) {
            execute(transaction, add_hours(transaction.get_database_backend()), hours).await?;
        }
        Ok(())
    }

    /// Returns the sums by hour and day, of each source and of the whole pipeline.
    fn rows(&self) -> BTreeMap<RowKey<'_>, Sums> {
        let mut rows: BTreeMap<RowKey<'_>, Sums> = BTreeMap::new();
        for (key, series) in &self.by_key {
            let source = key.source.as_ref().map_or("", SourceKey::as_str);
            let whole = key.basis.is_of_sources().then_some("");
            for (name, sums) in series {
                for source in [source].into_iter().chain(whole) {
                    for bucket in [Bucket::Hour, Bucket::Day] {
                        let (pipeline, start) = (key.pipeline.as_str(), bucket.start_of(key.hour));
                        let key = (pipeline, source, bucket.as_str(), key.basis.as_str(), start, name.as_str());
                        rows.entry(key).or_default().add(*sums);
                    }
                }
            }
        }
        rows
    }
}

/// Sums stop at 2⁵³ − 1. Rows are passed as one JSON text, so that each statement is parsed and planned once whatever the number of rows,
/// and PostgreSQL's limit of parameters does not apply.
fn add_rows(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO quality_rollups \
             (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
             SELECT item ->> 0, item ->> 1, item ->> 2, item ->> 3, (item ->> 4)::timestamptz, item ->> 5, \
             (item ->> 6)::bigint, (item ->> 7)::bigint, (item ->> 8)::bigint \
             FROM jsonb_array_elements($1::jsonb) AS items(item) \
             ON CONFLICT (pipeline, source, bucket, basis, bucket_start, series) DO UPDATE SET \
             runs = quality_rollups.runs + excluded.runs, \
             total = LEAST(quality_rollups.total + excluded.total, 9007199254740991), \
             passes = LEAST(quality_rollups.passes + excluded.passes, 9007199254740991)"
        }
        // Without WHERE, SQLite would parse ON as a join condition.
        _ => {
            "INSERT INTO quality_rollups \
             (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
             value ->> 7, value ->> 8 FROM json_each($1) WHERE true \
             ON CONFLICT (pipeline, source, bucket, basis, bucket_start, series) DO UPDATE SET \
             runs = quality_rollups.runs + excluded.runs, \
             total = MIN(quality_rollups.total + excluded.total, 9007199254740991), \
             passes = MIN(quality_rollups.passes + excluded.passes, 9007199254740991)"
        }
    }
}

fn add_hours(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO dirty_hours (pipeline, bucket_start) \
             SELECT item ->> 0, (item ->> 1)::timestamptz FROM jsonb_array_elements($1::jsonb) AS items(item) \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "INSERT INTO dirty_hours (pipeline, bucket_start) \
             SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true ON CONFLICT DO NOTHING"
        }
    }
}
