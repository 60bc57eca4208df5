//! What is kept for how long. Whole days go, in UTC, and in small batches, between which reporters write.

use std::time::Instant;

use chrono::TimeDelta;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Statement,
};
use uuid::Uuid;

use crate::domain::alert::AlertState;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::rollup::Bucket;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::{alert, pruned_report_id, pruned_rows};
use crate::store::pruned_ids::{oldest_half_year, prune_rows, remove_old};
use crate::store::rebuild::{is_rebuilding, pruned_before};
use crate::store::registry::hold;

/// Rows of one transaction: a few milliseconds.
const BATCH: u64 = 500;

/// What is kept for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Source runs and data quality metrics. What is known of a source's last run stays.
    pub raw: TimeDelta,
    /// The roll-ups of hours, the anomalies found in them, and alerts that are over; the roll-ups of days stay.
    pub hourly: TimeDelta,
}

impl Default for Retention {
    fn default() -> Self {
        Self { raw: TimeDelta::days(90), hourly: TimeDelta::days(730) }
    }
}

/// Rows of one kind that are older than an instant: `$1` is the pipeline, `$2` the instant and `$3` how many.
#[derive(Debug, Clone, Copy)]
struct Old {
    /// Of what kind of report they are. Its ids are kept.
    reports: Option<ReportKind>,
    table: &'static str,
    key: &'static str,
    select: &'static str,
}

const OLD_ROWS: [Old; 3] = [
    Old {
        reports: Some(ReportKind::SourceRun),
        table: "source_runs",
        key: "id",
        select: "SELECT id FROM source_runs WHERE pipeline = $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3",
    },
    // Runs that never ended.
    Old {
        reports: Some(ReportKind::SourceRun),
        table: "source_runs",
        key: "id",
        select: "SELECT id FROM source_runs WHERE pipeline = $1 AND finished_at IS NULL AND received_at < $2 LIMIT $3",
    },
    Old {
        reports: Some(ReportKind::DataQuality),
        table: "data_quality_metrics",
        key: "id",
        select: "SELECT id FROM data_quality_metrics WHERE pipeline = $1 AND timestamp < $2 ORDER BY timestamp LIMIT $3",
    },
];

const OLD_HOURS: Old = Old {
    reports: None,
    table: "quality_rollups",
    key: "(pipeline, source, bucket, basis, bucket_start, series)",
    // By source, so that each stretch of time is looked up by the key.
    select: "SELECT r.pipeline, r.source, r.bucket, r.basis, r.bucket_start, r.series \
             FROM (SELECT '' AS key UNION ALL SELECT key FROM sources WHERE pipeline = $1) AS s \
             CROSS JOIN quality_rollups AS r \
             WHERE r.pipeline = $1 AND r.source = s.key AND r.bucket = 'hour' AND r.basis IN \
             ('aggregate', 'source-specific', 'hourly', 'hourly-of-sources') AND r.bucket_start < $2 LIMIT $3",
};

/// Checks that are not reported any more: they free their place.
const OLD_CHECKS: Old = Old {
    reports: None,
    table: "pipeline_checks",
    key: "(pipeline, name)",
    select: "SELECT pipeline, name FROM pipeline_checks WHERE pipeline = $1 AND seen_at < $2 LIMIT $3",
};

const OLD_ANOMALIES: Old = Old {
    reports: None,
    table: "anomalies",
    key: "id",
    select: "SELECT id FROM anomalies WHERE pipeline = $1 AND bucket_start < $2 ORDER BY bucket_start LIMIT $3",
};

impl Store {
    /// Removes what is older than is kept, by a time that is confirmed. Gives the number of rows. Nothing that a status shows may be that old.
    pub async fn prune(&self, retention: &Retention) -> Result<u64> {
        let now = self.confirmed_now().await?;
        let (raw, hourly) = (Bucket::Day.start_of(now - retention.raw), Bucket::Day.start_of(now - retention.hourly));
        let mut removed = 0;
        for (pipeline, _) in self.pipelines().await? {
            for old in OLD_ROWS {
                if self.has(old, &pipeline, raw).await? {
                    if !self.note_pruned(&pipeline, raw).await? {
                        break;
                    }
                    removed += self.remove(old, &pipeline, raw).await?;
                }
            }
            for (old, before) in [(OLD_CHECKS, raw), (OLD_HOURS, hourly), (OLD_ANOMALIES, hourly)] {
                if self.has(old, &pipeline, before).await? {
                    removed += self.remove(old, &pipeline, before).await?;
                }
            }
        }
        Ok(removed + self.remove_ended_alerts(hourly).await? + self.remove_old_ids(now).await?)
    }

    /// Digests of ids that are kept no longer.
    async fn remove_old_ids(&self, now: Timestamp) -> Result<u64> {
        let oldest = oldest_half_year(now);
        let old = pruned_report_id::Entity::find().filter(pruned_report_id::Column::HalfYear.lt(oldest));
        let mut removed = 0;
        while old.clone().one(self.connections.reader()).await.map_err(Error::database)?.is_some() {
            let begin = Instant::now();
            let transaction = self.write().await?;
            removed += remove_old(&transaction, now, BATCH).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            tokio::time::sleep(begin.elapsed()).await;
        }
        Ok(removed)
    }

    /// Whether there is any such row. Asked of a reader: there mostly is none, and then nobody has to wait.
    async fn has(&self, old: Old, pipeline: &PipelineKey, before: Timestamp) -> Result<bool> {
        let reader = self.connections.reader();
        let values = [pipeline.as_str().into(), before.into(), 1_i64.into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), old.select, values);
        Ok(reader.query_one_raw(statement).await.map_err(Error::database)?.is_some())
    }

    /// Roll-ups of these days can no longer be made anew. Said before the first row goes, and while nobody makes any:
    /// `false` when a rebuild still needs the rows.
    async fn note_pruned(&self, pipeline: &PipelineKey, before: Timestamp) -> Result<bool> {
        let transaction = self.write().await?;
        let note = async {
            let is_held = hold(&transaction, pipeline).await?;
            if is_rebuilding(&transaction, pipeline).await? {
                return Ok::<_, DbErr>(false);
            }
            if is_held && pruned_before(&transaction, pipeline).await? < before {
                let row = pruned_rows::ActiveModel { pipeline: Set(pipeline.as_str().to_owned()), before: Set(before) };
                pruned_rows::Entity::insert_many([row])
                    .on_conflict(
                        OnConflict::column(pruned_rows::Column::Pipeline)
                            .update_column(pruned_rows::Column::Before)
                            .to_owned(),
                    )
                    .exec_without_returning(&transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(true)
        };
        note.await.map_err(Error::database)
    }

    async fn remove(&self, old: Old, pipeline: &PipelineKey, before: Timestamp) -> Result<u64> {
        let backend = self.connections.backend();
        // Two servers take different rows, and do not wait for each other.
        let lock = match (backend, old.table) {
            (DbBackend::Postgres, "quality_rollups") => " FOR UPDATE OF r SKIP LOCKED",
            (DbBackend::Postgres, _) => " FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        let sql = format!("DELETE FROM {} WHERE {} IN ({}{lock})", old.table, old.key, old.select);
        let mut removed = 0;
        loop {
            let begin = Instant::now();
            let batch = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let values = [pipeline.as_str().into(), before.into(), batch.into()];
            let transaction = self.write().await?;
            let delete = async {
                let Some(kind) = old.reports else {
                    let delete = Statement::from_sql_and_values(backend, &sql, values);
                    return Ok(transaction.execute_raw(delete).await?.rows_affected());
                };
                let select = Statement::from_sql_and_values(backend, format!("{}{lock}", old.select), values);
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
            // Reporters have at least half of the time.
            tokio::time::sleep(begin.elapsed()).await;
        }
    }

    /// Alerts that were over before this, of all pipelines and of the server itself, and their steps with them.
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
            // What is over does not begin again.
            let delete = alert::Entity::delete_many().filter(alert::Column::Id.is_in(ended));
            removed += delete.exec(&transaction).await.map_err(Error::database)?.rows_affected;
            transaction.commit().await.map_err(Error::database)?;
            tokio::time::sleep(begin.elapsed()).await;
        }
    }
}
