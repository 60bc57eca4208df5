//! Pipelines: lists, creates and refreshes them.

pub(super) mod revision;

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, Select};

use crate::domain::cardinality::Exceeded;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::pipeline;
use crate::store::handle::Store;
use crate::store::reports::quotas;
use crate::store::transaction::Transaction;

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
    pub(in crate::store) async fn require_pipeline(&self, transaction: &Transaction, key: &PipelineKey) -> Result<()> {
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

    pub(in crate::store) async fn insert_pipeline(&self, transaction: &Transaction, key: &PipelineKey) -> Result<()> {
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
}
