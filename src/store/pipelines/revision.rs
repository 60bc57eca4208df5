//! Locks pipelines, and increases their revisions.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use crate::clock::Clock;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::error::{Error, Result};
use crate::store::entity::pipeline;
use crate::store::transaction::Transaction;

/// Locks a pipeline's row to the end of the transaction. Returns whether the pipeline exists.
pub(in crate::store) async fn lock_pipeline(transaction: &Transaction, key: &PipelineKey) -> Result<bool, DbErr> {
    let found = pipeline::Entity::find_by_id(key.as_str()).filter(pipeline::Column::RemovingAt.is_null());
    Ok(found.lock_exclusive().one(transaction).await?.is_some())
}

/// Locks a pipeline's row to the end of the transaction and increases its revision.
pub(in crate::store) async fn bump_revision(
    transaction: &Transaction,
    key: &PipelineKey,
    clock: &Clock,
) -> Result<Revision> {
    let found = pipeline::Entity::find_by_id(key.as_str())
        .filter(pipeline::Column::RemovingAt.is_null())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(Error::database)?
        .ok_or_else(|| Error::PipelineNotFound(key.clone()))?;
    let revision = Revision::after(Some(Revision::from_stored(found.revision)), clock.now());
    pipeline::Entity::update_many()
        .col_expr(pipeline::Column::Revision, Expr::value(revision.get()))
        .filter(pipeline::Column::Key.eq(key.as_str()))
        .exec(transaction)
        .await
        .map_err(Error::database)?;
    Ok(revision)
}
