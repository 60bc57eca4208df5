//! The life of runs that are reported at their start: they finish, or are marked as lost.

use sea_orm::ActiveValue::NotSet;
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::domain::report::BodyDigest;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::entity::{run_step, source_run};
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// Finishes stored runs. Fails when another server finished one first, and the batch is retried.
pub(in crate::store) async fn end(transaction: &Transaction, runs: &[source_run::ActiveModel]) -> Result<(), DbErr> {
    for run in runs {
        let mut run = run.clone();
        let id = run.id.take();
        // The stored start is kept, unless the end report has one.
        run.start_digest = NotSet;
        if run.started_at.as_ref().is_none() {
            run.started_at = NotSet;
        }
        let updated = source_run::Entity::update_many()
            .set(run)
            .filter(source_run::Column::Id.eq(id))
            .filter(source_run::Column::EndDigest.is_null())
            .exec(transaction)
            .await?;
        if updated.rows_affected != 1 {
            return Err(DbErr::RecordNotUpdated);
        }
    }
    Ok(())
}

/// Adds the start to stored runs that have finished.
pub(in crate::store) async fn fill_start(
    transaction: &Transaction,
    runs: &[(Uuid, Timestamp, BodyDigest)],
) -> Result<(), DbErr> {
    for (id, started_at, digest) in runs {
        let known = Func::coalesce([Expr::col(source_run::Column::StartedAt), Expr::value(*started_at)]);
        let updated = source_run::Entity::update_many()
            .col_expr(source_run::Column::StartedAt, known.into())
            .col_expr(source_run::Column::StartDigest, Expr::value(digest.to_vec()))
            .filter(source_run::Column::Id.eq(*id))
            .filter(source_run::Column::StartDigest.is_null())
            .exec(transaction)
            .await?;
        if updated.rows_affected != 1 {
            return Err(DbErr::RecordNotUpdated);
        }
    }
    Ok(())
}

/// Deletes the steps of these runs, which their end reports replace.
pub(in crate::store) async fn replace_steps<'a>(
    transaction: &Transaction,
    runs: impl Iterator<Item = &'a Uuid>,
) -> Result<(), DbErr> {
    let runs: Vec<Uuid> = runs.copied().collect();
    for runs in runs.chunks(MAX_ROWS_PER_INSERT) {
        let steps = run_step::Entity::delete_many().filter(run_step::Column::RunId.is_in(runs.iter().copied()));
        steps.exec(transaction).await?;
    }
    Ok(())
}
