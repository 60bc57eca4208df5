use std::collections::HashMap;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select, sea_query::Expr,
};

use crate::domain::cardinality::Exceeded;
use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::domain::labels::Labels;
use crate::domain::revision::Revision;
use crate::domain::source::{Source, SourceChange};
use crate::error::{Error, Result};
use crate::store::entity::{pipeline, source};
use crate::store::facts::last_run;
use crate::store::schedules::{expectation, grace};
use crate::store::transaction::Transaction;
use crate::store::{Store, parse_column, quotas};

impl Store {
    /// Returns all pipelines, ordered by key.
    pub async fn pipelines(&self) -> Result<Vec<(PipelineKey, Revision)>> {
        self.revisions_of(pipeline::Entity::find()).await
    }

    async fn revisions_of(&self, pipelines: Select<pipeline::Entity>) -> Result<Vec<(PipelineKey, Revision)>> {
        let rows = pipelines
            .filter(pipeline::Column::RemovingAt.is_null())
            .order_by_asc(pipeline::Column::Key)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        rows.into_iter()
            .map(|row| Ok((parse_column("pipeline", &row.key)?, Revision::from_stored(row.revision))))
            .collect()
    }

    /// Loads changes made by other servers: pipelines and alert events. Returns whether a pipeline was newer than
    /// known.
    pub async fn refresh(&self) -> Result<bool> {
        let known = self.revisions.known();
        let found = self.pipelines().await?;
        let step = self.last_alert_event().await?;
        let has_changed = self.observe(known, found);
        self.revisions.observe_event(step);
        Ok(has_changed)
    }

    /// Loads changes of some pipelines made by other servers.
    pub async fn refresh_pipelines(&self, pipelines: &[PipelineKey]) -> Result<()> {
        let known = pipelines.iter().filter_map(|key| Some((key.clone(), self.revisions.newest(key)?))).collect();
        let keys = pipelines.iter().map(PipelineKey::as_str);
        let found = self.revisions_of(pipeline::Entity::find().filter(pipeline::Column::Key.is_in(keys))).await?;
        self.observe(known, found);
        Ok(())
    }

    /// Known pipelines that are not found were removed by another server.
    fn observe(&self, mut known: HashMap<PipelineKey, Revision>, found: Vec<(PipelineKey, Revision)>) -> bool {
        let mut has_changed = false;
        for (pipeline, revision) in found {
            has_changed |= self.revisions.observe_revision(&pipeline, revision);
            known.remove(&pipeline);
        }
        for (pipeline, revision) in known {
            self.revisions.observe_removal(&pipeline, Some(revision));
        }
        has_changed
    }

    /// Creates a pipeline, regardless of the limit.
    pub async fn register_pipeline(&self, key: &PipelineKey) -> Result<()> {
        let transaction = self.write().await?;
        self.insert_pipeline(&transaction, key).await?;
        transaction.commit().await.map_err(Error::database)
    }

    /// Creates a pipeline, unless the limit is reached.
    async fn require_pipeline(&self, transaction: &Transaction, key: &PipelineKey) -> Result<()> {
        let found = pipeline::Entity::find_by_id(key.as_str()).one(transaction).await.map_err(Error::database)?;
        if let Some(found) = found {
            let is_there = found.removing_at.is_none();
            return if is_there { Ok(()) } else { Err(Error::PipelineBeingRemoved(key.clone())) };
        }
        let limit = self.limits.pipelines;
        if quotas::pipelines(transaction, limit).await.map_err(Error::database)? >= limit {
            return Err(Exceeded::Pipelines(limit).into());
        }
        self.insert_pipeline(transaction, key).await
    }

    async fn insert_pipeline(&self, transaction: &Transaction, key: &PipelineKey) -> Result<()> {
        let row = pipeline::ActiveModel {
            key: Set(key.as_str().to_owned()),
            revision: Set(Revision::after(None, self.clock.now()).get()),
            ..Default::default()
        };
        pipeline::Entity::insert_many([row])
            .on_conflict(OnConflict::column(pipeline::Column::Key).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await
            .map(drop)
            .map_err(Error::database)
    }

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
        let revision = bump_revision(&transaction, pipeline, self).await?;
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
        let expectation = change.expected.as_ref().map(|every| every.as_ref().map(ToString::to_string));
        // A new expectation counts from now on.
        let restarts_expectation = found.as_ref().is_none_or(|found| {
            change.enabled == Some(true) && !found.enabled
                || expectation.as_ref().is_some_and(|every| *every != found.expected_every)
        });
        let row = source::ActiveModel {
            pipeline: Set(pipeline.as_str().to_owned()),
            key: Set(key.as_str().to_owned()),
            enabled: Set(change.enabled.unwrap_or(true)),
            expected_every: Set(expectation.flatten()),
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
            (restarts_expectation, ExpectedSince),
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

/// Locks a pipeline's row to the end of the transaction. Returns whether the pipeline exists.
pub(super) async fn lock_pipeline(transaction: &Transaction, key: &PipelineKey) -> Result<bool, DbErr> {
    let found = pipeline::Entity::find_by_id(key.as_str()).filter(pipeline::Column::RemovingAt.is_null());
    Ok(found.lock_exclusive().one(transaction).await?.is_some())
}

/// Locks a pipeline's row to the end of the transaction and increases its revision.
pub(super) async fn bump_revision(transaction: &Transaction, key: &PipelineKey, store: &Store) -> Result<Revision> {
    let found = pipeline::Entity::find_by_id(key.as_str())
        .filter(pipeline::Column::RemovingAt.is_null())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(Error::database)?
        .ok_or_else(|| Error::PipelineNotFound(key.clone()))?;
    let revision = Revision::after(Some(Revision::from_stored(found.revision)), store.clock.now());
    pipeline::Entity::update_many()
        .col_expr(pipeline::Column::Revision, Expr::value(revision.get()))
        .filter(pipeline::Column::Key.eq(key.as_str()))
        .exec(transaction)
        .await
        .map_err(Error::database)?;
    Ok(revision)
}

fn source_of(row: &source::Model) -> Result<Source> {
    Ok(Source {
        pipeline: parse_column("pipeline", &row.pipeline)?,
        key: parse_column("source", &row.key)?,
        enabled: row.enabled,
        last_run: last_run(row)?,
        expected: expectation(row)?,
        grace: grace(row),
        labels: labels(row.labels.as_deref()),
    })
}

fn labels_text(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("texts always serialise")
}

pub(super) fn labels(column: Option<&str>) -> Labels {
    column.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
