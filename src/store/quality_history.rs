//! What is read from roll-ups. Raw rows are never asked.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, Select, Statement,
};
use strum::IntoEnumIterator as _;

use crate::domain::pipeline::PipelineKey;
use crate::domain::rollup::{Bucket, BucketSums, Range, RollupBasis, Series};
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::quality_rollup::{Column, Entity};
use crate::store::transaction::Transaction;
use crate::store::{Store, stored};

/// One series over a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesHistory {
    /// What was summed; `None` when nothing was counted in the range.
    pub basis: Option<RollupBasis>,
    /// The sums, in the order of time; a bucket without any is missing.
    pub points: Vec<BucketSums>,
}

/// The hours of one series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesHours {
    /// The source; `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// What is summed.
    pub series: Series,
    /// Rows of which kind were summed.
    pub basis: RollupBasis,
    /// The sums, in the order of time; an hour without any is missing.
    pub hours: Vec<BucketSums>,
}

/// The sums of a pipeline's days, all series together. Nothing can be reported, imported or removed without a change in
/// those of its day, and they are few beside the hours of all series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaysSums(BTreeMap<Timestamp, Vec<(RollupBasis, Series, BucketSums)>>);

impl DaysSums {
    /// The first day whose sums are others than they were.
    pub fn first_change(&self, before: &Self) -> Option<Timestamp> {
        let days = self.0.keys().chain(before.0.keys());
        days.filter(|day| self.0.get(day) != before.0.get(day)).min().copied()
    }

    /// Forgets the days before this one.
    pub fn forget_before(&mut self, day: Timestamp) {
        self.0 = self.0.split_off(&day);
    }
}

impl Store {
    /// The sums of one series, of a source or of the whole pipeline: of the first basis that has an attempt in the
    /// range, for all checks together. Volumes are those of source runs.
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

    /// The sums of a pipeline's days that begin at or after an instant.
    pub async fn days_since(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<DaysSums> {
        // Those of the whole pipeline, in which those of its sources are.
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
        let mut days = DaysSums::default();
        for (basis, series, start, runs, total, passes) in rows {
            let (basis, series) = (stored("the basis", &basis)?, stored("the series", &series)?);
            days.0.entry(start).or_default().push((basis, series, bucket(start, runs, total, passes)));
        }
        Ok(days)
    }

    /// All hours at or after an instant, of every series of a pipeline; in the order of sources (the whole pipeline
    /// first), series and bases.
    pub async fn series_since(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<Vec<SeriesHours>> {
        // The sources come first, so that each of their stretches of time is looked up by the key.
        let sql = "SELECT r.source, r.series, r.basis, r.bucket_start, r.runs, r.total, r.passes \
                   FROM (SELECT '' AS key UNION ALL SELECT key FROM sources WHERE pipeline = $1 AND removing_at IS NULL) AS s \
                   CROSS JOIN quality_rollups AS r \
                   WHERE r.pipeline = $1 AND r.source = s.key AND r.bucket = 'hour' AND r.basis IN \
                   ('aggregate', 'source-specific', 'hourly', 'hourly-of-sources') AND r.bucket_start >= $2 \
                   ORDER BY r.source, r.series, r.basis, r.bucket_start";
        let reader = self.connections.reader();
        let values = [pipeline.as_str().into(), since.into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let mut all: Vec<SeriesHours> = Vec::new();
        let (mut source, mut series, mut basis) = (String::new(), String::new(), String::new());
        for row in reader.query_all_raw(statement).await.map_err(Error::database)? {
            let text = |index| row.try_get_by_index::<String>(index).map_err(Error::database);
            let key = (text(0)?, text(1)?, text(2)?);
            if all.is_empty() || (&key.0, &key.1, &key.2) != (&source, &series, &basis) {
                (source, series, basis) = key;
                all.push(SeriesHours {
                    source: if source.is_empty() { None } else { Some(stored("the source", &source)?) },
                    series: stored("the series", &series)?,
                    basis: stored("the basis", &basis)?,
                    hours: Vec::new(),
                });
            }
            if let Some(last) = all.last_mut() {
                last.hours.push(sums(&row, 3).map_err(Error::database)?);
            }
        }
        // As texts compare here; databases have rules of their own.
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
        Some(RollupBasis::SourceSpecific)
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

/// The first basis with an attempt; checks are stored only with one.
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
            .filter(Column::Series.is_not_in(Series::VOLUMES))
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
