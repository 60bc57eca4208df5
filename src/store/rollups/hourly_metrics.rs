//! Writes an `hourly` metric for each closed hour of a pipeline, for readers of the `data_quality_metrics` table. A
//! reported `hourly` metric takes precedence. The written rows have no digest, which distinguishes them from reported
//! ones, and count neither in roll-ups nor in statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::TimeDelta;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::check::{Quality, Thresholds};
use crate::domain::counts::Counts;
use crate::domain::key::PipelineKey;
use crate::domain::metric::MetricType;
use crate::domain::rollup::{Bucket, RollupBasis, Series};
use crate::domain::status::RuleBook;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::{data_quality_metric, dirty_hour, metric_check, quality_rollup};
use crate::store::handle::Store;
use crate::store::pipelines::revision::lock_pipeline;
use crate::store::reports::rows::{check_rows, metric_row};
use crate::store::rollups::history::is_check;
use crate::store::rollups::watermark::retained_since;
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// How long after its end an hour is closed. A later report reopens it.
const CLOSED_AFTER: TimeDelta = TimeDelta::minutes(5);
/// The number of hours in one transaction, while reporters wait.
const HOURS: u64 = 12;

impl Store {
    /// Writes the `hourly` metrics of closed hours that have changed since their metric was last written. Returns the
    /// number of hours.
    pub async fn write_hourly_metrics(&self, rules: &RuleBook) -> Result<u64> {
        let closed = self.clock.now() - CLOSED_AFTER - Bucket::Hour.length();
        let pipelines: Vec<String> = dirty_hour::Entity::find()
            .select_only()
            .column(dirty_hour::Column::Pipeline)
            .distinct()
            .filter(dirty_hour::Column::BucketStart.lte(closed))
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut hours = 0;
        for pipeline in pipelines {
            let pipeline = parse_column("pipeline", &pipeline)?;
            loop {
                let begin = Instant::now();
                let some = self.write_batch(&pipeline, closed, &rules.of(&pipeline).thresholds).await?;
                hours += some;
                if some < HOURS {
                    break;
                }
                // Reporters get at least half of the time.
                tokio::time::sleep(begin.elapsed()).await;
            }
        }
        Ok(hours)
    }

    async fn write_batch(&self, pipeline: &PipelineKey, closed: Timestamp, thresholds: &Thresholds) -> Result<u64> {
        let transaction = self.write().await?;
        let close = async {
            // Locked to the end of the transaction: no report and no other server may change the sums in between.
            if !lock_pipeline(&transaction, pipeline).await? {
                return Ok::<u64, DbErr>(0);
            }
            let hours = due(&transaction, pipeline, closed).await?;
            if !hours.is_empty() {
                write_hours(&transaction, pipeline, &hours, thresholds).await?;
            }
            Ok(hours.len() as u64)
        };
        let hours = close.await.map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(hours)
    }
}

async fn due(transaction: &Transaction, pipeline: &PipelineKey, closed: Timestamp) -> Result<Vec<Timestamp>, DbErr> {
    dirty_hour::Entity::find()
        .select_only()
        .column(dirty_hour::Column::BucketStart)
        .filter(dirty_hour::Column::Pipeline.eq(pipeline.as_str()))
        .filter(dirty_hour::Column::BucketStart.lte(closed))
        .order_by_asc(dirty_hour::Column::BucketStart)
        .limit(HOURS)
        .into_tuple()
        .all(transaction)
        .await
}

async fn write_hours(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    hours: &[Timestamp],
    thresholds: &Thresholds,
) -> Result<(), DbErr> {
    use data_quality_metric::Column;
    // The reports of a pruned day are unknown, and its hourly metrics are pruned too.
    let pruned = retained_since(transaction, pipeline).await?;
    let reported = reported_hours(transaction, pipeline, hours).await?;
    let mut sums = sums(transaction, pipeline, hours).await?;
    sums.retain(|hour, _| *hour >= pruned && !reported.contains(hour));
    let checks: Vec<_> = sums.iter().flat_map(|(hour, quality)| check_rows(id(pipeline, *hour), quality)).collect();
    let rows: Vec<_> = sums
        .into_iter()
        .map(|(hour, quality)| data_quality_metric::ActiveModel {
            id: Set(id(pipeline, hour)),
            pipeline: Set(pipeline.as_str().to_owned()),
            timestamp: Set(hour),
            digest: Set(None),
            ..metric_row(&quality, MetricType::Hourly, None, quality.status_for(thresholds))
        })
        .collect();
    // All rows are replaced, so that a row without sums disappears.
    data_quality_metric::Entity::delete_many()
        .filter(Column::Id.is_in(hours.iter().map(|hour| id(pipeline, *hour))))
        .filter(Column::Digest.is_null())
        .exec(transaction)
        .await?;
    if !rows.is_empty() {
        data_quality_metric::Entity::insert_many(rows)
            .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await?;
    }
    for checks in checks.chunks(MAX_ROWS_PER_INSERT) {
        metric_check::Entity::insert_many(checks.iter().cloned()).exec_without_returning(transaction).await?;
    }
    dirty_hour::Entity::delete_many()
        .filter(dirty_hour::Column::Pipeline.eq(pipeline.as_str()))
        .filter(dirty_hour::Column::BucketStart.is_in(hours.iter().copied()))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Returns the hours that have a reported `hourly` metric without a source.
async fn reported_hours(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    hours: &[Timestamp],
) -> Result<BTreeSet<Timestamp>, DbErr> {
    use data_quality_metric::Column;
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return Ok(BTreeSet::new()) };
    let reported: Vec<Timestamp> = data_quality_metric::Entity::find()
        .select_only()
        .column(Column::Timestamp)
        .filter(Column::Pipeline.eq(pipeline.as_str()))
        .filter(Column::MetricType.eq(MetricType::Hourly.as_str()))
        .filter(Column::Timestamp.gte(*first))
        .filter(Column::Timestamp.lt(*last + Bucket::Hour.length()))
        .filter(Column::Source.is_null())
        .filter(Column::Digest.is_not_null())
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(reported.into_iter().map(|at| Bucket::Hour.start_of(at)).collect())
}

/// Returns the hourly sums of the whole pipeline, from the first basis with an attempt.
async fn sums(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    hours: &[Timestamp],
) -> Result<BTreeMap<Timestamp, Quality>, DbErr> {
    use quality_rollup::Column;
    let rows: Vec<(Timestamp, String, String, i64, i64)> = quality_rollup::Entity::find()
        .select_only()
        .columns([Column::BucketStart, Column::Basis, Column::Series, Column::Total, Column::Passes])
        .filter(Column::Pipeline.eq(pipeline.as_str()))
        .filter(Column::Source.eq(""))
        .filter(Column::Bucket.eq(Bucket::Hour.as_str()))
        .filter(Column::BucketStart.is_in(hours.iter().copied()))
        .filter(is_check())
        .into_tuple()
        .all(transaction)
        .await?;
    let mut by_hour: BTreeMap<Timestamp, BTreeMap<RollupBasis, Quality>> = BTreeMap::new();
    for (hour, basis, series, total, passes) in rows {
        let basis = basis.parse().map_err(|error| DbErr::Type(format!("basis {basis:?}: {error}")))?;
        let quality = by_hour.entry(hour).or_default().entry(basis).or_default();
        let unsigned = |sum: i64| u64::try_from(sum).unwrap_or(0);
        let counts = Counts::new(unsigned(total), unsigned(passes)).unwrap_or_default();
        match series.as_str() {
            Series::GEOCODING => quality.geocoding = counts,
            Series::VALIDATION => quality.validation = counts,
            other => {
                let check = other.parse().map_err(|error| DbErr::Type(format!("check {other:?}: {error}")))?;
                quality.others.insert(check, counts);
            }
        }
    }
    Ok(by_hour.into_iter().filter_map(|(hour, bases)| Some((hour, bases.into_values().next()?))).collect())
}

/// The id of an hour's metric is the same on every server: a version 8 UUID (RFC 9562) from the SHA-256 of pipeline
/// and hour.
fn id(pipeline: &PipelineKey, hour: Timestamp) -> Uuid {
    let digest = Sha256::digest(format!("hourly\n{pipeline}\n{}", hour.timestamp()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
