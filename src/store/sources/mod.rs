//! Sources: lists, creates and changes them.

pub(super) mod row;
pub(super) mod running;
mod schedules;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::domain::cardinality::Exceeded;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::source::{Source, SourceChange};
use crate::error::{Error, Result};
use crate::store::entity::source;
use crate::store::handle::Store;
use crate::store::pipelines::revision::bump_revision;
use crate::store::reports::quotas;
use crate::store::sources::row::{labels_text, source_of};

impl Store {
    /// Returns the sources of a pipeline after a key, ordered by key.
    pub async fn sources(&self, pipeline: &PipelineKey, after: Option<&SourceKey>, limit: u64) -> Result<Vec<Source>> {
        let mut sources = source::Entity::find()
            .filter(source::Column::Pipeline.eq(pipeline.as_str()))
            .filter(source::Column::RemovingAt.is_null());
        if let Some(after) = after {
            sources = sources.filter(source::Column::Key.gt(after.as_str()));
        }
        let rows = sources
            .order_by_asc(source::Column::Key)
            .limit(limit)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        rows.into_iter().map(|row| source_of(&row)).collect()
    }

    /// Creates a source (and its pipeline), or changes it.
    pub async fn upsert_source(
        &self,
        pipeline: &PipelineKey,
        key: &SourceKey,
        change: &SourceChange,
    ) -> Result<Source> {
        use source::Column::{Enabled, ExpectedEvery, ExpectedSince, Grace, Key, Labels, Pipeline};
        self.require_correct_clock()?;
        if let Some(labels) = &change.labels {
            self.limits.check_labels(labels)?;
        }
        let transaction = self.write().await?;
        self.require_pipeline(&transaction, pipeline).await?;
        let revision = bump_revision(&transaction, pipeline, &self.clock).await?;
        let found = source::Entity::find_by_id((pipeline.as_str().to_owned(), key.as_str().to_owned()))
            .one(&transaction)
            .await
            .map_err(Error::database)?;
        if found.as_ref().is_some_and(|found| found.removing_at.is_some()) {
            return Err(Error::SourceBeingRemoved { pipeline: pipeline.clone(), source_key: key.clone() });
        }
        let limit = self.limits.sources;
        if found.is_none() && quotas::sources(&transaction, pipeline, limit).await.map_err(Error::database)? >= limit {
            return Err(Exceeded::Sources(limit).into());
        }
        let schedule = change.expected.as_ref().map(|every| every.as_ref().map(ToString::to_string));
        // A new schedule counts from now on.
        let restarts_schedule = found.as_ref().is_none_or(|found| {
            change.enabled == Some(true) && !found.enabled
                || schedule.as_ref().is_some_and(|every| *every != found.expected_every)
        });
        let row = source::ActiveModel {
            pipeline: Set(pipeline.as_str().to_owned()),
            key: Set(key.as_str().to_owned()),
            enabled: Set(change.enabled.unwrap_or(true)),
            expected_every: Set(schedule.flatten()),
            grace: Set(change.grace.flatten().map(|grace| grace.get().num_seconds())),
            expected_since: Set(Some(self.clock.now())),
            labels: Set(change.labels.as_ref().map(labels_text)),
            ..Default::default()
        };
        let changed = [
            (change.enabled.is_some(), Enabled),
            (change.expected.is_some(), ExpectedEvery),
            (change.grace.is_some(), Grace),
            (change.labels.is_some(), Labels),
            (restarts_schedule, ExpectedSince),
            // At least one column must be set for the row to be returned.
            (true, Key),
        ];
        let columns = changed.into_iter().filter(|(is_changed, _)| *is_changed).map(|(_, column)| column);
        let row = source::Entity::insert(row)
            .on_conflict(OnConflict::columns([Pipeline, Key]).update_columns(columns).to_owned())
            .exec_with_returning(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        self.revisions.committed(pipeline, revision);
        source_of(&row)
    }
}
