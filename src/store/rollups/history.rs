//! Reads roll-ups. Never reads raw rows.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, Select, Statement,
};
use strum::IntoEnumIterator as _;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::rollup::{Bucket, BucketSums, Range, RollupBasis, Series};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::quality_rollup::{Column, Entity};
use crate::store::handle::Store;
use crate::store::transaction::Transaction;

/// One series over a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesHistory {
    /// The kind of rows summed; `None` when nothing was counted in the range.
    pub basis: Option<RollupBasis>,
    /// The sums, oldest first. Buckets without a sum are missing.
    pub points: Vec<BucketSums>,
}

/// The hours of one series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HourlySeries {
    /// The source; `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// The series.
    pub series: Series,
    /// The kind of rows summed.
    pub basis: RollupBasis,
    /// The sums, oldest first. Hours without a sum are missing.
    pub hours: Vec<BucketSums>,
}

/// The daily sums of all series of a pipeline. Any report, import or removal changes the sums of its day, and they
/// are far fewer than the hours of all series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DailyTotals(BTreeMap<Timestamp, Vec<(RollupBasis, Series, BucketSums)>>);

impl DailyTotals {
    /// Returns the first day whose sums differ.
    pub fn first_change(&self, before: &Self) -> Option<Timestamp> {
        let days = self.0.keys().chain(before.0.keys());
        days.filter(|day| self.0.get(day) != before.0.get(day)).min().copied()
    }

    /// Drops the days before this one.
    pub fn forget_before(&mut self, day: Timestamp) {
        self.0 = self.0.split_off(&day);
    }
}

impl Store {
    /// Returns the sums of one series of a source or of the whole pipeline, from the first basis with an attempt in
    /// the range, which is the same for all checks. Volumes are those of source runs.
    pub async fn quality_history(
        &self,
        pipeline: &PipelineKey,
        source: Option<&SourceKey>,
        series: &Series,
        range: &Range,
    ) -> Result<SeriesHistory> {
        let transaction = self.read().await?;
        let history = history(&transaction, pipeline, source, series, range).await.map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(history)
    }

    /// Returns the daily sums of a pipeline from an instant on.
    pub async fn daily_totals(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<DailyTotals> {
        // Sums of the whole pipeline, which include those of its sources.
        let rows: Vec<(String, String, Timestamp, i64, i64, i64)> = Entity::find()
            .select_only()
            .columns([Column::Basis, Column::Series, Column::BucketStart, Column::Runs, Column::Total, Column::Passes])
            .filter(Column::Pipeline.eq(pipeline.as_str()))
            .filter(Column::Source.eq(""))
            .filter(Column::Bucket.eq(Bucket::Day.as_str()))
            .filter(Column::Basis.is_in(RollupBasis::iter().map(RollupBasis::as_str)))
            .filter(Column::BucketStart.gte(since))
            .order_by_asc(Column::Basis)
            .order_by_asc(Column::BucketStart)
            .order_by_asc(Column::Series)
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut days = DailyTotals::default();
        for (basis, series, start, runs, total, passes) in rows {
            let (basis, series) = (parse_column("basis", &basis)?, parse_column("series", &series)?);
            days.0.entry(start).or_default().push((basis, series, bucket(start, runs, total, passes)));
        }
        Ok(days)
    }

    /// Returns the hours of every series of a pipeline from an instant on, ordered by source (the whole pipeline
    /// first), series and basis.
    pub async fn hourly_series(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<Vec<HourlySeries>> {
        // Sources first, so that the time range of each is an index look-up.
        let sql = "SELECT r.source, r.series, r.basis, r.bucket_start, r.runs, r.total, r.passes \
                   FROM (SELECT '' AS key UNION ALL SELECT key FROM sources WHERE pipeline = $1 AND removing_at IS NULL) AS s \
                   CROSS JOIN quality_rollups AS r \
                   WHERE r.pipeline = $1 AND r.source = s.key AND r.bucket = 'hour' AND r.basis IN \
                   ('aggregate', 'source-specific', 'hourly', 'hourly-of-sources') AND r.bucket_start >= $2 \
                   ORDER BY r.source, r.series, r.basis, r.bucket_start";
        let reader = self.connections.reader();
        let values = [pipeline.as_str().into(), since.into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let mut all: Vec<HourlySeries> = Vec::new();
        let (mut source, mut series, mut basis) = (String::new(), String::new(), String::new());
        for row in reader.query_all_raw(statement).await.map_err(Error::database)? {
            let text = |index| row.try_get_by_index::<String>(index).map_err(Error::database);
            let key = (text(0)?, text(1)?, text(2)?);
            if all.is_empty() || (&key.0, &key.1, &key.2) != (&source, &series, &basis) {
                (source, series, basis) = key;
                all.push(HourlySeries {
                    source: if source.is_empty() { None } else { Some(parse_column("source", &source)?) },
                    series: parse_column("series", &series)?,
                    basis: parse_column("basis", &basis)?,
                    hours: Vec::new(),
                });
            }
            if let Some(last) = all.last_mut() {
                last.hours.push(sums(&row, 3).map_err(Error::database)?);
            }
        }
        // Rust's string order: databases collate differently.
        all.sort_unstable();
        Ok(all)
    }
}

async fn history(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: Option<&SourceKey>,
    series: &Series,
    range: &Range,
) -> Result<SeriesHistory, DbErr> {
    let basis = if series.is_volume() {
        first_basis_of_volume(transaction, pipeline, source, series, range).await?
    } else {
        first_basis(transaction, pipeline, source, range).await?
    };
    let Some(basis) = basis else { return Ok(SeriesHistory { basis, points: Vec::new() }) };
    let rows: Vec<(Timestamp, i64, i64, i64)> = Entity::find()
        .of(pipeline, source, basis, range)
        .select_only()
        .columns([Column::BucketStart, Column::Runs, Column::Total, Column::Passes])
        .filter(Column::Series.eq(series.as_str()))
        .order_by_asc(Column::BucketStart)
        .into_tuple()
        .all(transaction)
        .await?;
    let points = rows.into_iter().map(|(start, runs, total, passes)| bucket(start, runs, total, passes)).collect();
    Ok(SeriesHistory { basis: Some(basis), points })
}

/// Whether a series is that of a check, in SQL.
pub(in crate::store) fn is_check() -> Condition {
    let prefix = format!("{}%", Series::COUNT_PREFIX);
    Condition::all().add(Column::Series.is_not_in(Series::VOLUMES)).add(Column::Series.not_like(prefix))
}

/// Returns the first basis with an attempt. Checks are stored only with attempts.
async fn first_basis(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: Option<&SourceKey>,
    range: &Range,
) -> Result<Option<RollupBasis>, DbErr> {
    for basis in RollupBasis::iter() {
        let found: Option<i32> = Entity::find()
            .of(pipeline, source, basis, range)
            .select_only()
            .expr(Expr::value(1))
            .filter(is_check())
            .limit(1)
            .into_tuple()
            .one(transaction)
            .await?;
        if found.is_some() {
            return Ok(Some(basis));
        }
    }
    Ok(None)
}

/// Returns the first basis with the volume: source runs, if any reports it.
async fn first_basis_of_volume(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: Option<&SourceKey>,
    series: &Series,
    range: &Range,
) -> Result<Option<RollupBasis>, DbErr> {
    let others = RollupBasis::iter().filter(|basis| *basis != RollupBasis::SourceSpecific);
    for basis in std::iter::once(RollupBasis::SourceSpecific).chain(others) {
        let found: Option<i32> = Entity::find()
            .of(pipeline, source, basis, range)
            .select_only()
            .expr(Expr::value(1))
            .filter(Column::Series.eq(series.as_str()))
            .limit(1)
            .into_tuple()
            .one(transaction)
            .await?;
        if found.is_some() {
            return Ok(Some(basis));
        }
    }
    // Volumes are counts of source runs, reported or not.
    Ok(Some(RollupBasis::SourceSpecific))
}

trait SelectRollups {
    fn of(self, pipeline: &PipelineKey, source: Option<&SourceKey>, basis: RollupBasis, range: &Range) -> Self;
}

impl SelectRollups for Select<Entity> {
    fn of(self, pipeline: &PipelineKey, source: Option<&SourceKey>, basis: RollupBasis, range: &Range) -> Self {
        self.filter(Column::Pipeline.eq(pipeline.as_str()))
            .filter(Column::Source.eq(source.map_or("", SourceKey::as_str)))
            .filter(Column::Bucket.eq(range.bucket().as_str()))
            .filter(Column::Basis.eq(basis.as_str()))
            .filter(Column::BucketStart.gte(range.from()))
            .filter(Column::BucketStart.lt(range.to()))
    }
}

fn sums(row: &QueryResult, first: usize) -> Result<BucketSums, DbErr> {
    let number = |index| row.try_get_by_index::<i64>(index);
    let start = row.try_get_by_index(first)?;
    Ok(bucket(start, number(first + 1)?, number(first + 2)?, number(first + 3)?))
}

fn bucket(start: Timestamp, runs: i64, total: i64, passes: i64) -> BucketSums {
    let unsigned = |sum: i64| u64::try_from(sum).unwrap_or(0);
    BucketSums { start, runs: unsigned(runs), total: unsigned(total), passes: unsigned(passes) }
}
