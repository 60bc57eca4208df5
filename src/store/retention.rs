//! Retention: removes rows by whole UTC days, in small batches, between which reporters write.

use std::time::Instant;

use chrono::TimeDelta;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};
use uuid::Uuid;

use crate::domain::alert::AlertState;
use crate::domain::key::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::rollup::Bucket;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::{alert, pruned_report_id, retention_watermark};
use crate::store::handle::Store;
use crate::store::pipelines::revision::lock_pipeline;
use crate::store::reports::pruned_ids::{oldest_half_year, prune_rows, remove_old};
use crate::store::rollups::rebuild::is_rebuilding;
use crate::store::rollups::watermark::retained_since;

/// Rows per transaction: a few milliseconds.
const BATCH: u64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Source runs and data quality metrics. The last run of each source is kept separately.
    pub raw: TimeDelta,
    /// Hourly roll-ups, their anomalies, and resolved alerts. Daily roll-ups are kept.
    pub hourly: TimeDelta,
}

impl Default for Retention {
    fn default() -> Self {
        Self { raw: TimeDelta::days(90), hourly: TimeDelta::days(730) }
    }
}

/// Rows to prune: `$1` is the pipeline, `$2` the instant and `$3` the maximum number.
#[derive(Debug, Clone, Copy)]
struct PruneTarget {
    /// The kind of report; digests of its ids are kept.
    reports: Option<ReportKind>,
    table: &'static str,
    key: &'static str,
    select: &'static str,
}

const RAW_TARGETS: [PruneTarget; 3] = [
    PruneTarget {
        reports: Some(ReportKind::SourceRun),
        table: "source_runs",
        key: "id",
        select: "SELECT id FROM source_runs WHERE pipeline = $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3",
    },
    // Runs without an end.
    PruneTarget {
        reports: Some(ReportKind::SourceRun),
        table: "source_runs",
        key: "id",
        select: "SELECT id FROM source_runs WHERE pipeline = $1 AND finished_at IS NULL AND received_at < $2 LIMIT $3",
    },
    PruneTarget {
        reports: Some(ReportKind::DataQuality),
        table: "data_quality_metrics",
        key: "id",
        select: "SELECT id FROM data_quality_metrics WHERE pipeline = $1 AND timestamp < $2 ORDER BY timestamp LIMIT $3",
    },
];

const HOURLY_TARGET: PruneTarget = PruneTarget {
    reports: None,
    table: "quality_rollups",
    key: "(pipeline, source, bucket, basis, bucket_start, series)",
    // By source, so that each time range is an index look-up.
    select: "SELECT r.pipeline, r.source, r.bucket, r.basis, r.bucket_start, r.series \
             FROM (SELECT '' AS key UNION ALL SELECT key FROM sources WHERE pipeline = $1) AS s \
             CROSS JOIN quality_rollups AS r \
             WHERE r.pipeline = $1 AND r.source = s.key AND r.bucket = 'hour' AND r.basis IN \
             ('aggregate', 'source-specific', 'hourly', 'hourly-of-sources') AND r.bucket_start < $2 LIMIT $3",
};

/// Checks and counts that are no longer reported do not count towards their limits.
const CHECK_TARGET: PruneTarget = PruneTarget {
    reports: None,
    table: "pipeline_checks",
    key: "(pipeline, name)",
    select: "SELECT pipeline, name FROM pipeline_checks WHERE pipeline = $1 AND seen_at < $2 LIMIT $3",
};

const COUNT_TARGET: PruneTarget = PruneTarget {
    reports: None,
    table: "pipeline_counts",
    key: "(pipeline, name)",
    select: "SELECT pipeline, name FROM pipeline_counts WHERE pipeline = $1 AND seen_at < $2 LIMIT $3",
};

const ANOMALY_TARGET: PruneTarget = PruneTarget {
    reports: None,
    table: "anomalies",
    key: "id",
    select: "SELECT id FROM anomalies WHERE pipeline = $1 AND bucket_start < $2 ORDER BY bucket_start LIMIT $3",
};

impl Store {
    /// Removes rows older than the retention, by the confirmed time. Returns their number. Statuses never include
    /// rows of that age.
    pub async fn prune(&self, retention: &Retention) -> Result<u64> {
        let now = self.confirmed_now().await?;
        let (raw, hourly) = (Bucket::Day.start_of(now - retention.raw), Bucket::Day.start_of(now - retention.hourly));
        let mut removed = 0;
        for (pipeline, _) in self.pipelines().await? {
            for target in RAW_TARGETS {
                if self.has(target, &pipeline, raw).await? {
                    if !self.set_watermark(&pipeline, raw).await? {
                        break;
                    }
                    removed += self.remove(target, &pipeline, raw).await?;
                }
            }
            for (target, before) in
                [(CHECK_TARGET, raw), (COUNT_TARGET, raw), (HOURLY_TARGET, hourly), (ANOMALY_TARGET, hourly)]
            {
                if self.has(target, &pipeline, before).await? {
                    removed += self.remove(target, &pipeline, before).await?;
                }
            }
        }
        Ok(removed + self.remove_ended_alerts(hourly).await? + self.remove_old_ids(now).await?)
    }

    /// Removes digests of ids that are no longer needed.
    async fn remove_old_ids(&self, now: Timestamp) -> Result<u64> {
        let oldest = oldest_half_year(now);
        let target = pruned_report_id::Entity::find().filter(pruned_report_id::Column::HalfYear.lt(oldest));
        let mut removed = 0;
        while target.clone().one(self.connections.reader()).await.map_err(Error::database)?.is_some() {
            let begin = Instant::now();
            let transaction = self.write().await?;
            removed += remove_old(&transaction, now, BATCH).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            tokio::time::sleep(begin.elapsed()).await;
        }
        Ok(removed)
    }

    /// Whether a row has to be pruned. Runs on a reader, so that no writer waits when there is nothing to prune.
    async fn has(&self, target: PruneTarget, pipeline: &PipelineKey, before: Timestamp) -> Result<bool> {
        let reader = self.connections.reader();
        let values = [pipeline.as_str().into(), before.into(), 1_i64.into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), target.select, values);
        Ok(reader.query_one_raw(statement).await.map_err(Error::database)?.is_some())
    }

    /// Records that roll-ups of these days can no longer be rebuilt, before the first row is removed. Returns `false`
    /// when a rebuild still needs the rows.
    async fn set_watermark(&self, pipeline: &PipelineKey, before: Timestamp) -> Result<bool> {
        let transaction = self.write().await?;
        let watermark = async {
            let is_held = lock_pipeline(&transaction, pipeline).await?;
            if is_rebuilding(&transaction, pipeline).await? {
                return Ok::<_, DbErr>(false);
            }
            if is_held && retained_since(&transaction, pipeline).await? < before {
                let row = retention_watermark::ActiveModel {
                    pipeline: Set(pipeline.as_str().to_owned()),
                    retained_since: Set(before),
                };
                retention_watermark::Entity::insert_many([row])
                    .on_conflict(
                        OnConflict::column(retention_watermark::Column::Pipeline)
                            .update_column(retention_watermark::Column::RetainedSince)
                            .to_owned(),
                    )
                    .exec_without_returning(&transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(true)
        };
        watermark.await.map_err(Error::database)
    }

    async fn remove(&self, target: PruneTarget, pipeline: &PipelineKey, before: Timestamp) -> Result<u64> {
        let backend = self.connections.backend();
        // Two servers prune different rows without waiting for each other.
        let lock = match (backend, target.table) {
            (DbBackend::Postgres, "quality_rollups") => " FOR UPDATE OF r SKIP LOCKED",
            (DbBackend::Postgres, _) => " FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        let sql = format!("DELETE FROM {} WHERE {} IN ({}{lock})", target.table, target.key, target.select);
        let mut removed = 0;
        loop {
            let begin = Instant::now();
            let batch = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let values = [pipeline.as_str().into(), before.into(), batch.into()];
            let transaction = self.write().await?;
            let delete = async {
                let Some(kind) = target.reports else {
                    let delete = Statement::from_sql_and_values(backend, &sql, values);
                    return Ok(transaction.execute_raw(delete).await?.rows_affected());
                };
                let select = Statement::from_sql_and_values(backend, format!("{}{lock}", target.select), values);
                let ids = transaction.query_all_raw(select).await?;
                let ids = ids.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<Uuid>, _>>()?;
                prune_rows(&transaction, kind, pipeline, &ids, self.clock.now()).await
            };
            let rows: u64 = delete.await.map_err(|error: DbErr| Error::database(error))?;
            transaction.commit().await.map_err(Error::database)?;
            removed += rows;
            if rows < BATCH {
                return Ok(removed);
            }
            // Reporters get at least half of the time.
            tokio::time::sleep(begin.elapsed()).await;
        }
    }

    /// Removes alerts that were resolved before an instant, of all pipelines and of the server itself, with their
    /// events.
    async fn remove_ended_alerts(&self, before: Timestamp) -> Result<u64> {
        let mut removed = 0;
        loop {
            let begin = Instant::now();
            let ended: Vec<Uuid> = alert::Entity::find()
                .select_only()
                .column(alert::Column::Id)
                .filter(alert::Column::State.eq(AlertState::Resolved.as_str()))
                .filter(alert::Column::ChangedAt.lt(before))
                .order_by_asc(alert::Column::ChangedAt)
                .limit(BATCH)
                .into_tuple()
                .all(self.connections.reader())
                .await
                .map_err(Error::database)?;
            if ended.is_empty() {
                return Ok(removed);
            }
            let transaction = self.write().await?;
            // A resolved alert never fires again.
            let delete = alert::Entity::delete_many().filter(alert::Column::Id.is_in(ended));
            removed += delete.exec(&transaction).await.map_err(Error::database)?.rows_affected;
            transaction.commit().await.map_err(Error::database)?;
            tokio::time::sleep(begin.elapsed()).await;
        }
    }
}
