//! How often sources are expected to run.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use chrono::TimeDelta;

use crate::domain::freshness::{Grace, LEARNED_FROM, Pace};
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::{source, source_run};
use crate::store::{Store, stored};

impl Store {
    /// The pace of each enabled source of a pipeline, without what its runs teach.
    pub async fn paces(&self, pipeline: &PipelineKey) -> Result<Vec<(SourceKey, Pace)>> {
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
                let pace = Pace {
                    expectation: expectation(&row)?,
                    grace: grace(&row),
                    learned: None,
                    last_run: row.last_run_at,
                    // Of those that were there before anything could be expected nothing is missing yet.
                    since: row.expected_since.or(row.last_run_at).unwrap_or(now),
                };
                Ok((stored("the source", &row.key)?, pace))
            })
            .collect()
    }

    /// When the last runs of a source ended that were no backfill: what its pace is learned from.
    pub async fn last_finishes(&self, pipeline: &PipelineKey, source: &SourceKey) -> Result<Vec<Timestamp>> {
        let finished: Vec<Option<Timestamp>> = source_run::Entity::find()
            .select_only()
            .column(source_run::Column::FinishedAt)
            .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source_run::Column::Source.eq(source.as_str()))
            .filter(source_run::Column::FinishedAt.is_not_null())
            .filter(source_run::Column::Backfill.eq(false))
            .order_by_desc(source_run::Column::FinishedAt)
            .limit(LEARNED_FROM as u64)
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(finished.into_iter().flatten().collect())
    }
}

/// What was said of how often a source is expected.
pub(super) fn expectation(row: &source::Model) -> Result<Option<crate::domain::freshness::Expectation>> {
    row.expected_every.as_deref().map(|text| stored("what is expected of a source", text)).transpose()
}

/// What was said of how late it may be.
pub(super) fn grace(row: &source::Model) -> Option<Grace> {
    row.grace.and_then(TimeDelta::try_seconds).and_then(Grace::new)
}
