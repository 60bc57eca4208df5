//! What pings read and write beyond reports.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::extended_log;
use crate::domain::run_id::RunId;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::source_run;
use crate::store::reports::run_keys::keys_of_run;
use crate::store::sources::running::running;
use crate::store::transaction::Transaction;

/// Running runs of a source that are searched.
const MAX_RUNNING: u64 = 100;

impl Store {
    /// The id of the latest running run whose id starts with `prefix`.
    pub async fn open_run_with_prefix(
        &self,
        pipeline: &PipelineKey,
        source: &SourceKey,
        prefix: &str,
    ) -> Result<Option<String>> {
        let runs = running()
            .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source_run::Column::Source.eq(source.as_str()))
            .order_by_desc(source_run::Column::StartedAt)
            .limit(MAX_RUNNING)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let id = |run: source_run::Model| run.run_id.unwrap_or_else(|| run.id.to_string());
        Ok(runs.into_iter().map(id).find(|id| id.starts_with(prefix)))
    }

    /// Appends to the log of a run: that with the id, or the latest one of the source. Returns whether there is one.
    pub async fn append_log(
        &self,
        pipeline: &PipelineKey,
        source: &SourceKey,
        run_id: Option<&str>,
        text: &str,
    ) -> Result<bool> {
        let transaction = self.write().await?;
        let run = match run_id.map(str::parse::<RunId>) {
            Some(Ok(id)) => named_run(&transaction, pipeline, source, &id).await?,
            Some(Err(_)) => None,
            None => latest_run(&transaction, pipeline, source).await?,
        };
        let Some(run) = run else { return Ok(false) };
        source_run::Entity::update_many()
            .col_expr(source_run::Column::Log, Expr::value(extended_log(run.log, &text.replace('\0', "\u{fffd}"))))
            .filter(source_run::Column::Id.eq(run.id))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(true)
    }
}

async fn named_run(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: &SourceKey,
    id: &RunId,
) -> Result<Option<source_run::Model>> {
    source_run::Entity::find()
        .filter(source_run::Column::Id.is_in(keys_of_run(pipeline, source, id)))
        .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
        .filter(source_run::Column::Source.eq(source.as_str()))
        .one(transaction)
        .await
        .map_err(Error::database)
}

/// The latest running run of a source, otherwise the latest finished one.
async fn latest_run(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: &SourceKey,
) -> Result<Option<source_run::Model>> {
    use source_run::Column::{FinishedAt, Pipeline, Source, StartedAt};
    let of_source = Pipeline.eq(pipeline.as_str()).and(Source.eq(source.as_str()));
    let running = running().filter(of_source.clone()).order_by_desc(StartedAt).one(transaction).await;
    if let Some(run) = running.map_err(Error::database)? {
        return Ok(Some(run));
    }
    source_run::Entity::find()
        .filter(of_source)
        .filter(FinishedAt.is_not_null())
        .order_by_desc(FinishedAt)
        .one(transaction)
        .await
        .map_err(Error::database)
}
