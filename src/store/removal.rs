//! Removes pipelines and sources in small batches, between which reporters write.
//!
//! The row of the pipeline or source is marked first: from then on no query returns it, and reports to it are refused. Its
//! other rows follow, and its own row is deleted last, so that a removal interrupted by a crash is found and continued.

use std::time::{Duration, Instant};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, Statement, Value,
};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::{pipeline, source};
use crate::store::handle::Store;
use crate::store::pipelines::revision::{bump_revision, lock_pipeline};
use crate::store::reports::pruned_ids::forget_source;
use crate::store::rollups::removal::remove_source_rollups;

/// Bounds for the rows of one transaction. A row may bring many others along: steps, checks, events.
const MIN_BATCH: u64 = 20;
const MAX_BATCH: u64 = 500;
const INITIAL_BATCH: u64 = 100;
/// A transaction that takes longer halves the next batch.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How long a caller waits for the rows to be removed. Small pipelines and sources are gone by then.
const FOREGROUND_TIME: Duration = Duration::from_secs(1);

/// The rows of one table that belong to a pipeline (`$1`) or source (`$2`).
struct Part {
    table: &'static str,
    key: &'static str,
    condition: &'static str,
}

const fn of_pipeline(table: &'static str, key: &'static str) -> Part {
    Part { table, key, condition: "pipeline = $1" }
}

const fn of_source(table: &'static str) -> Part {
    Part { table, key: "id", condition: "pipeline = $1 AND source = $2" }
}

/// The tables with rows of a pipeline, in an order in which no row refers to a deleted one. Foreign keys delete the steps of
/// runs, the checks of metrics and the events of alerts.
const PIPELINE_PARTS: [Part; 8] = [
    of_pipeline("alerts", "id"),
    of_pipeline("alert_silences", "id"),
    of_pipeline("anomalies", "id"),
    of_pipeline("data_quality_metrics", "id"),
    of_pipeline("source_runs", "id"),
    of_pipeline("quality_rollups", "pipeline, source, bucket, basis, bucket_start, series"),
    of_pipeline("dirty_hours", "pipeline, bucket_start"),
    of_pipeline("sources", "pipeline, key"),
];

const SOURCE_PARTS: [Part; 2] = [of_source("data_quality_metrics"), of_source("source_runs")];

impl Store {
    /// Removes a pipeline with all its data. Queries no longer return it, and subscriptions to it end. The rows of a large
    /// pipeline are removed later, by [`Store::finish_removals`].
    pub async fn remove_pipeline(&self, key: &PipelineKey) -> Result<()> {
        if key.as_str() == PipelineKey::DEFAULT {
            return Err(Error::DefaultPipelineStays);
        }
        self.require_correct_clock()?;
        let transaction = self.write().await?;
        let marked = pipeline::Entity::update_many()
            .col_expr(pipeline::Column::RemovingAt, Expr::value(self.clock.now()))
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .filter(pipeline::Column::RemovingAt.is_null())
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        self.revisions.removed(key);
        if marked.rows_affected == 0 {
            return Err(Error::PipelineNotFound(key.clone()));
        }
        if let Err(error) = self.remove_rows_of_pipeline(key, Some(Instant::now() + FOREGROUND_TIME)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(pipeline = %key, error, "cannot remove the rows of a removed pipeline; will retry");
        }
        Ok(())
    }

    /// Removes a source with its runs, metrics and roll-ups. Queries no longer return it. The rows of a large source are
    /// removed later, by [`Store::finish_removals`].
    pub async fn remove_source(&self, pipeline: &PipelineKey, key: &SourceKey) -> Result<()> {
        self.require_correct_clock()?;
        let transaction = self.write().await?;
        let revision = bump_revision(&transaction, pipeline, &self.clock).await?;
        let marked = source::Entity::update_many()
            .col_expr(source::Column::RemovingAt, Expr::value(self.clock.now()))
            .filter(source::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source::Column::Key.eq(key.as_str()))
            .filter(source::Column::RemovingAt.is_null())
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        if marked.rows_affected == 0 {
            // Dropping the transaction rolls the new revision back.
            return Err(Error::SourceNotFound { pipeline: pipeline.clone(), source_key: key.clone() });
        }
        transaction.commit().await.map_err(Error::database)?;
        self.revisions.committed(pipeline, revision);
        if let Err(error) = self.remove_rows_of_source(pipeline, key, Some(Instant::now() + FOREGROUND_TIME)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%pipeline, source_key = %key, error, "cannot remove the rows of a removed source; will retry");
        }
        Ok(())
    }

    /// Removes the remaining rows of pipelines and sources whose removal has begun, on this server or another. Returns the
    /// number of pipelines and sources.
    pub async fn finish_removals(&self) -> Result<u64> {
        let reader = self.connections.reader();
        let pipelines = pipeline::Entity::find()
            .filter(pipeline::Column::RemovingAt.is_not_null())
            .order_by_asc(pipeline::Column::Key)
            .all(reader)
            .await
            .map_err(Error::database)?;
        for row in &pipelines {
            self.remove_rows_of_pipeline(&parse_column("pipeline", &row.key)?, None).await?;
        }
        // The sources of those pipelines are gone.
        let sources = source::Entity::find()
            .filter(source::Column::RemovingAt.is_not_null())
            .order_by_asc(source::Column::Pipeline)
            .order_by_asc(source::Column::Key)
            .all(reader)
            .await
            .map_err(Error::database)?;
        for row in &sources {
            let (pipeline, key) = (parse_column("pipeline", &row.pipeline)?, parse_column("source", &row.key)?);
            self.remove_rows_of_source(&pipeline, &key, None).await?;
        }
        Ok((pipelines.len() + sources.len()) as u64)
    }

    async fn remove_rows_of_pipeline(&self, key: &PipelineKey, until: Option<Instant>) -> Result<()> {
        for part in &PIPELINE_PARTS {
            if !self.remove_part(part, &[key.as_str().into()], until).await? {
                return Ok(());
            }
        }
        let transaction = self.write().await?;
        pipeline::Entity::delete_many()
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .filter(pipeline::Column::RemovingAt.is_not_null())
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)
    }

    async fn remove_rows_of_source(
        &self,
        pipeline: &PipelineKey,
        key: &SourceKey,
        until: Option<Instant>,
    ) -> Result<()> {
        for part in &SOURCE_PARTS {
            if !self.remove_part(part, &[pipeline.as_str().into(), key.as_str().into()], until).await? {
                return Ok(());
            }
        }
        if !self.remove_rollups_of_source(pipeline, key, until).await? {
            return Ok(());
        }
        let transaction = self.write().await?;
        if !lock_pipeline(&transaction, pipeline).await.map_err(Error::database)? {
            // The pipeline was removed in the meantime, and its sources with it.
            return Ok(());
        }
        let revision = bump_revision(&transaction, pipeline, &self.clock).await?;
        let is_removing = Condition::all()
            .add(source::Column::Pipeline.eq(pipeline.as_str()))
            .add(source::Column::Key.eq(key.as_str()))
            .add(source::Column::RemovingAt.is_not_null());
        let remove = async {
            let removed = source::Entity::delete_many().filter(is_removing).exec(&transaction).await?;
            if removed.rows_affected > 0 {
                forget_source(&transaction, pipeline, key).await?;
            }
            Ok::<_, DbErr>(removed.rows_affected > 0)
        };
        // Otherwise another server has removed it, and the new revision is rolled back.
        if remove.await.map_err(Error::database)? {
            transaction.commit().await.map_err(Error::database)?;
            self.revisions.committed(pipeline, revision);
        }
        Ok(())
    }

    /// Subtracts the source from the roll-ups of its pipeline. Returns whether nothing is left.
    async fn remove_rollups_of_source(
        &self,
        pipeline: &PipelineKey,
        key: &SourceKey,
        until: Option<Instant>,
    ) -> Result<bool> {
        let mut batch = Batch::new();
        while !is_over(until) {
            let begin = Instant::now();
            let transaction = self.write().await?;
            let remove = async {
                // Reports and rebuilds change the same sums.
                lock_pipeline(&transaction, pipeline).await?;
                remove_source_rollups(&transaction, pipeline, key, batch.size).await
            };
            let has_more = remove.await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            if !has_more {
                return Ok(true);
            }
            batch.pause(begin).await;
        }
        Ok(false)
    }

    /// Removes rows batch by batch. Returns whether none is left.
    async fn remove_part(&self, part: &Part, of: &[Value], until: Option<Instant>) -> Result<bool> {
        let Part { table, key, condition } = part;
        let backend = self.connections.backend();
        // Two servers that remove the same pipeline take different rows.
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let select = |limit: usize| format!("SELECT {key} FROM {table} WHERE {condition} LIMIT ${limit}");
        let limit = of.len() + 1;
        let delete = format!("DELETE FROM {table} WHERE ({key}) IN ({}{lock})", select(limit));
        let statement = |sql: &str, rows: u64| {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            Statement::from_sql_and_values(backend, sql, of.iter().cloned().chain([rows.into()]))
        };
        let mut batch = Batch::new();
        while !is_over(until) {
            let begin = Instant::now();
            let transaction = self.write().await?;
            let remove = async {
                let removed = transaction.execute_raw(statement(&delete, batch.size)).await?.rows_affected();
                // Rows that another server has locked may yet stay.
                let is_last =
                    removed < batch.size && transaction.query_one_raw(statement(&select(limit), 1)).await?.is_none();
                Ok::<_, DbErr>(is_last)
            };
            let is_last = remove.await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            if is_last {
                return Ok(true);
            }
            batch.pause(begin).await;
        }
        Ok(false)
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// How many rows the next transaction removes.
struct Batch {
    size: u64,
}

impl Batch {
    fn new() -> Self {
        Self { size: INITIAL_BATCH }
    }

    /// Adapts the size to how long the last transaction took, and leaves reporters at least half of the time.
    async fn pause(&mut self, begin: Instant) {
        let took = begin.elapsed();
        self.size = if took > BATCH_TIME { (self.size / 2).max(MIN_BATCH) } else { (self.size * 2).min(MAX_BATCH) };
        tokio::time::sleep(took).await;
    }
}
