//! Removing pipelines and sources, however much they have: in batches, between which reporters write.
//!
//! A pipeline is marked first, and is out of sight from then on. Its rows follow, and its own row is the last, so that a
//! removal that was broken off is found and continued.

use std::time::{Duration, Instant};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, Statement, Value,
};

use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::error::{Error, Result};
use crate::store::entity::pipeline;
use crate::store::{Store, stored};

/// Rows of one transaction: at most, and at least where they bring many others along.
const MOST: u64 = 500;
const LEAST: u64 = 20;
/// A transaction should not take longer.
const SOON: Duration = Duration::from_millis(50);
/// So long a removal is waited for: that of a small pipeline is over by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Rows of one kind, by their key.
struct Part {
    table: &'static str,
    key: &'static str,
    of: &'static str,
}

const fn part(table: &'static str, key: &'static str) -> Part {
    Part { table, key, of: "pipeline = $1" }
}

/// All that a pipeline has, in an order in which no row refers to one that is gone. Runs bring their steps along, metrics
/// their checks, and alerts their events.
const OF_PIPELINE: [Part; 8] = [
    part("alerts", "id"),
    part("alert_silences", "id"),
    part("anomalies", "id"),
    part("data_quality_metrics", "id"),
    part("source_runs", "id"),
    part("quality_rollups", "pipeline, source, bucket, basis, bucket_start, series"),
    part("hours_to_close", "pipeline, bucket_start"),
    part("sources", "pipeline, key"),
];

const OF_SOURCE: [Part; 2] = [
    Part { table: "data_quality_metrics", key: "id", of: "pipeline = $1 AND source = $2" },
    Part { table: "source_runs", key: "id", of: "pipeline = $1 AND source = $2" },
];

impl Store {
    /// Removes a pipeline with all its data. It is out of sight at once, and who watches it sees the stream end. Its rows
    /// may take longer than this: then `finish_removals` removes the others.
    pub async fn remove_pipeline(&self, key: &PipelineKey) -> Result<()> {
        if key.as_str() == PipelineKey::DEFAULT {
            return Err(Error::DefaultPipelineStays);
        }
        let transaction = self.write().await?;
        let marked = pipeline::Entity::update_many()
            .col_expr(pipeline::Column::RemovingAt, Expr::value(self.clock.now()))
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .filter(pipeline::Column::RemovingAt.is_null())
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        self.changes.removed(key);
        if marked.rows_affected == 0 {
            return Err(Error::PipelineNotFound(key.clone()));
        }
        if let Err(error) = self.remove_rows(key, Some(Instant::now() + PATIENCE)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(pipeline = %key, error, "the rows of a removed pipeline are left; they are removed later");
        }
        Ok(())
    }

    /// Removes what is left of pipelines that are being removed, by this server or another, now or before it ended. Gives
    /// the number of pipelines.
    pub async fn finish_removals(&self) -> Result<u64> {
        let marked = pipeline::Entity::find()
            .filter(pipeline::Column::RemovingAt.is_not_null())
            .order_by_asc(pipeline::Column::Key)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        for row in &marked {
            self.remove_rows(&stored("the pipeline", &row.key)?, None).await?;
        }
        Ok(marked.len() as u64)
    }

    async fn remove_rows(&self, key: &PipelineKey, until: Option<Instant>) -> Result<()> {
        for part in &OF_PIPELINE {
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

    /// Removes the metrics and runs of a source. More may come while it does.
    pub(super) async fn remove_rows_of_source(&self, pipeline: &PipelineKey, key: &SourceKey) -> Result<()> {
        for part in &OF_SOURCE {
            self.remove_part(part, &[pipeline.as_str().into(), key.as_str().into()], None).await?;
        }
        Ok(())
    }

    /// Removes rows batch by batch. Whether all are gone.
    async fn remove_part(&self, part: &Part, of: &[Value], until: Option<Instant>) -> Result<bool> {
        let Part { table, key, of: condition } = part;
        let limit = of.len() + 1;
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT ${limit})"
        );
        let mut batch = MOST;
        loop {
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
            let begin = Instant::now();
            let limit = i64::try_from(batch).unwrap_or(i64::MAX);
            let values = of.iter().cloned().chain([limit.into()]);
            let transaction = self.write().await?;
            let backend = transaction.get_database_backend();
            let delete = transaction.execute_raw(Statement::from_sql_and_values(backend, &sql, values));
            let rows = delete.await.map_err(Error::database)?.rows_affected();
            transaction.commit().await.map_err(Error::database)?;
            if rows < batch {
                return Ok(true);
            }
            let took = begin.elapsed();
            batch = if took > SOON { (batch / 2).max(LEAST) } else { (batch * 2).min(MOST) };
            // Reporters have at least half of the time.
            tokio::time::sleep(took).await;
        }
    }
}
