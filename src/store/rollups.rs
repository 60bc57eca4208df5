//! Roll-ups, written in the transaction of the reports that they sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::SecondsFormat;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde::Serialize;

use crate::domain::check::Quality;
use crate::domain::pipeline::PipelineKey;
use crate::domain::rollup::{Bucket, RollupBasis};
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::store::transaction::Transaction;

/// Rows of one statement: a text of a few hundred kilobytes.
const ROWS: usize = 5_000;

/// What a report's numbers are added to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cell {
    pipeline: PipelineKey,
    source: Option<SourceKey>,
    basis: RollupBasis,
    hour: Timestamp,
}

impl Cell {
    pub(super) fn new(
        pipeline: &PipelineKey,
        source: Option<&SourceKey>,
        basis: RollupBasis,
        instant: Timestamp,
    ) -> Self {
        Self { pipeline: pipeline.clone(), source: source.cloned(), basis, hour: Bucket::Hour.start_of(instant) }
    }
}

/// Sums of what a group of reports brings. Many reports are of few hours and sources, so that they come to few rows.
#[derive(Debug, Default)]
pub(super) struct RollupSums {
    cells: HashMap<Cell, Vec<(String, Sums)>>,
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
        self.runs += other.runs;
        self.total += other.total;
        self.passes += other.passes;
    }
}

/// What identifies a row: pipeline, source, bucket, basis, start and series, in the order of the table's key.
type RowKey<'a> = (&'a str, &'a str, &'static str, &'static str, Timestamp, &'a str);

impl RollupSums {
    /// Adds a report: its checks by their names, and its volumes by theirs. A check without an attempt says nothing;
    /// a volume of 0 does.
    pub(super) fn add(&mut self, cell: Cell, quality: Option<&Quality>, volumes: &[(&str, Option<u32>)]) {
        if quality.is_some() {
            self.reported.insert((cell.pipeline.clone(), cell.hour));
        }
        let series = self.cells.entry(cell).or_default();
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
            if let Some(volume) = volume {
                add(name, Sums { runs: 1, total: (*volume).into(), passes: 0 });
            }
        }
    }

    /// Adds the sums to those that are stored. The pipelines' rows must be held, so that the order of the
    /// rows is no matter.
    pub(super) async fn write(&self, transaction: &Transaction) -> Result<(), DbErr> {
        let rows: Vec<_> = self
            .rows()
            .into_iter()
            .map(|((pipeline, source, bucket, basis, start, series), sums)| {
                (pipeline, source, bucket, basis, text(start), series, sums.runs, sums.total, sums.passes)
            })
            .collect();
        for rows in rows.chunks(ROWS) {
            execute(transaction, add_rows(transaction.get_database_backend()), rows).await?;
        }
        let hours: Vec<_> = self.reported.iter().map(|(pipeline, hour)| (pipeline, text(*hour))).collect();
        for hours in hours.chunks(ROWS) {
            execute(transaction, add_hours(transaction.get_database_backend()), hours).await?;
        }
        Ok(())
    }

    /// Each hour's sums by themselves, those of the whole pipeline where sources are summed, and both by days.
    fn rows(&self) -> BTreeMap<RowKey<'_>, Sums> {
        let mut rows: BTreeMap<RowKey<'_>, Sums> = BTreeMap::new();
        for (cell, series) in &self.cells {
            let source = cell.source.as_ref().map_or("", SourceKey::as_str);
            let whole = cell.basis.is_of_sources().then_some("");
            for (name, sums) in series {
                for source in [source].into_iter().chain(whole) {
                    for bucket in [Bucket::Hour, Bucket::Day] {
                        let (pipeline, start) = (cell.pipeline.as_str(), bucket.start_of(cell.hour));
                        let key = (pipeline, source, bucket.as_str(), cell.basis.as_str(), start, name.as_str());
                        rows.entry(key).or_default().add(*sums);
                    }
                }
            }
        }
        rows
    }
}

/// The statements are the same for however many rows: they come as one text of JSON, so that a database reads and plans
/// each statement once, and PostgreSQL's limit of parameters is no matter.
fn add_rows(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO quality_rollups \
             (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
             SELECT item ->> 0, item ->> 1, item ->> 2, item ->> 3, (item ->> 4)::timestamptz, item ->> 5, \
             (item ->> 6)::bigint, (item ->> 7)::bigint, (item ->> 8)::bigint \
             FROM jsonb_array_elements($1::jsonb) AS items(item) \
             ON CONFLICT (pipeline, source, bucket, basis, bucket_start, series) DO UPDATE SET \
             runs = quality_rollups.runs + excluded.runs, total = quality_rollups.total + excluded.total, \
             passes = quality_rollups.passes + excluded.passes"
        }
        // Without WHERE, SQLite would read ON as the condition of a join.
        _ => {
            "INSERT INTO quality_rollups \
             (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
             value ->> 7, value ->> 8 FROM json_each($1) WHERE true \
             ON CONFLICT (pipeline, source, bucket, basis, bucket_start, series) DO UPDATE SET \
             runs = quality_rollups.runs + excluded.runs, total = quality_rollups.total + excluded.total, \
             passes = quality_rollups.passes + excluded.passes"
        }
    }
}

fn add_hours(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO hours_to_close (pipeline, bucket_start) \
             SELECT item ->> 0, (item ->> 1)::timestamptz FROM jsonb_array_elements($1::jsonb) AS items(item) \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "INSERT INTO hours_to_close (pipeline, bucket_start) \
             SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true ON CONFLICT DO NOTHING"
        }
    }
}

pub(super) async fn execute(
    transaction: &impl ConnectionTrait,
    sql: &str,
    rows: &(impl Serialize + ?Sized),
) -> Result<(), DbErr> {
    let rows = serde_json::to_string(rows).map_err(|error| DbErr::Custom(error.to_string()))?;
    let backend = transaction.get_database_backend();
    transaction.execute_raw(Statement::from_sql_and_values(backend, sql, [rows.into()])).await?;
    Ok(())
}

/// An instant as SQLite has it in its rows, where texts are compared.
pub(super) fn text(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}
