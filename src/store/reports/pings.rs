//! What pings read and write beyond reports.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::source_run;
use crate::store::sources::running::running;

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
        Ok(runs.into_iter().map(|run| run.id.to_string()).find(|id| id.starts_with(prefix)))
    }

    /// Appends to the log of a run: that with the id, or the latest one of the source. Returns whether there is one.
    pub async fn append_log(
        &self,
        pipeline: &PipelineKey,
        source: &SourceKey,
        run_id: Option<&str>,
        _text: &str,
    ) -> Result<bool> {
        let mut runs = source_run::Entity::find()
            .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source_run::Column::Source.eq(source.as_str()));
        if let Some(run_id) = run_id {
            let Ok(id) = run_id.parse::<uuid::Uuid>() else { return Ok(false) };
            runs = runs.filter(source_run::Column::Id.eq(id));
        }
        let run = runs.limit(1).one(self.connections.reader()).await.map_err(Error::database)?;
        Ok(run.is_some())
    }
}
