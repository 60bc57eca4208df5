//! When sources are expected to run.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::domain::freshness::{Cadence, INFERENCE_RUNS};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::{source, source_run};
use crate::store::handle::Store;
use crate::store::sources::row::{expected_schedule, grace};

impl Store {
    /// Returns the schedule of each enabled source of a pipeline, without the interval inferred from its runs.
    pub async fn source_schedules(&self, pipeline: &PipelineKey) -> Result<Vec<(SourceKey, Cadence)>> {
        let rows = source::Entity::find()
            .filter(source::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source::Column::Enabled.eq(true))
            .filter(source::Column::RemovingAt.is_null())
            .order_by_asc(source::Column::Key)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let now = self.clock.now();
        rows.into_iter()
            .map(|row| {
                let cadence = Cadence {
                    expected: expected_schedule(&row)?,
                    grace: grace(&row),
                    inferred_interval: None,
                    last_run: row.last_run_at,
                    // A source that existed before schedules were stored is not overdue yet.
                    since: row.expected_since.or(row.last_run_at).unwrap_or(now),
                };
                Ok((parse_column("source", &row.key)?, cadence))
            })
            .collect()
    }

    /// Returns when the last runs of a source finished, without backfill. The expected interval is inferred from
    /// them.
    pub async fn recent_finish_times(&self, pipeline: &PipelineKey, source: &SourceKey) -> Result<Vec<Timestamp>> {
        let finished: Vec<Option<Timestamp>> = source_run::Entity::find()
            .select_only()
            .column(source_run::Column::FinishedAt)
            .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source_run::Column::Source.eq(source.as_str()))
            .filter(source_run::Column::FinishedAt.is_not_null())
            .filter(source_run::Column::Backfill.eq(false))
            .order_by_desc(source_run::Column::FinishedAt)
            .limit(INFERENCE_RUNS as u64)
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(finished.into_iter().flatten().collect())
    }
}
