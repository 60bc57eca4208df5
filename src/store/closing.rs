//! For the readers of the old table: each closed hour's sums of a pipeline as one `hourly` row without source, unless
//! one was reported. Such a row has no digest, which tells it from reported ones, and enters neither roll-ups nor status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::TimeDelta;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::check::{Quality, Thresholds};
use crate::domain::counts::Counts;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::PipelineKey;
use crate::domain::rollup::{Bucket, RollupBasis, Series};
use crate::domain::status::RuleBook;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::{data_quality_metric, hour_to_close, metric_check, quality_rollup};
use crate::store::rebuild::pruned_before;
use crate::store::record::ROWS;
use crate::store::registry::hold;
use crate::store::rows::{check_rows, metric_row};
use crate::store::transaction::Transaction;
use crate::store::{Store, stored};

/// An hour is closed so long after its end: late reports are few then, and each of them opens it again.
const CLOSED_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Hours of one transaction, for which reporters wait.
const HOURS: u64 = 12;

impl Store {
    /// Writes the `hourly` rows of hours that are closed by now and have changed since they were last written. Gives
    /// the number of hours.
    pub async fn close_hours(&self, rules: &RuleBook) -> Result<u64> {
        let closed = self.clock.now() - CLOSED_AFTER - Bucket::Hour.length();
        let pipelines: Vec<String> = hour_to_close::Entity::find()
            .select_only()
            .column(hour_to_close::Column::Pipeline)
            .distinct()
            .filter(hour_to_close::Column::BucketStart.lte(closed))
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut hours = 0;
        for pipeline in pipelines {
            let pipeline = stored("the pipeline", &pipeline)?;
            loop {
                let begin = Instant::now();
                let some = self.close_some(&pipeline, closed, &rules.of(&pipeline).thresholds).await?;
                hours += some;
                if some < HOURS {
                    break;
                }
                // Reporters have at least half of the time.
                tokio::time::sleep(begin.elapsed()).await;
            }
        }
        Ok(hours)
    }

    async fn close_some(&self, pipeline: &PipelineKey, closed: Timestamp, thresholds: &Thresholds) -> Result<u64> {
        let transaction = self.write().await?;
        let close = async {
            // Held to the end: another server must not do the same, nor a report come in between.
            if !hold(&transaction, pipeline).await? {
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
    hour_to_close::Entity::find()
        .select_only()
        .column(hour_to_close::Column::BucketStart)
        .filter(hour_to_close::Column::Pipeline.eq(pipeline.as_str()))
        .filter(hour_to_close::Column::BucketStart.lte(closed))
        .order_by_asc(hour_to_close::Column::BucketStart)
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
    // Of a day that is pruned nobody knows what was reported, and what was written of it is gone, too.
    let pruned = pruned_before(transaction, pipeline).await?;
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
            ..metric_row(&quality, MetricType::Hourly, None, quality.judge(thresholds))
        })
        .collect();
    // All are written anew, so that what has no sums any more goes.
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
    for checks in checks.chunks(ROWS) {
        metric_check::Entity::insert_many(checks.iter().cloned()).exec_without_returning(transaction).await?;
    }
    hour_to_close::Entity::delete_many()
        .filter(hour_to_close::Column::Pipeline.eq(pipeline.as_str()))
        .filter(hour_to_close::Column::BucketStart.is_in(hours.iter().copied()))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Those of the hours for which somebody reported an `hourly` row without source.
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

/// The sums of the whole pipeline by hours: of the first basis with an attempt, for all checks together.
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
        .filter(Column::Series.is_not_in(Series::VOLUMES))
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

/// The same on every server: a UUID of version 8 (RFC 9562), of the SHA-256 of the pipeline and the hour.
fn id(pipeline: &PipelineKey, hour: Timestamp) -> Uuid {
    let digest = Sha256::digest(format!("hourly\n{pipeline}\n{}", hour.timestamp()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
