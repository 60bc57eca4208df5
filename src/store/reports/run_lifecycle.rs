//! The life of runs that are reported at their start: they finish, or are marked as lost.

use sea_orm::ActiveValue::{self, NotSet, Set};
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _, Value};
use uuid::Uuid;

use crate::domain::report::extended_log;
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
        keep(&mut run.started_at);
        keep(&mut run.url);
        keep(&mut run.tags);
        keep(&mut run.attempt);
        keep(&mut run.parent);
        match run.log.take().flatten() {
            Some(log) => run.log = Set(Some(with_earlier_log(transaction, id, &log).await?)),
            None => run.log = NotSet,
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

/// The log of an end report after the lines that pings added while the run was in progress.
async fn with_earlier_log(transaction: &Transaction, id: Option<Uuid>, log: &str) -> Result<String, DbErr> {
    let stored: Option<Option<String>> = source_run::Entity::find()
        .select_only()
        .column(source_run::Column::Log)
        .filter(source_run::Column::Id.eq(id))
        .into_tuple()
        .one(transaction)
        .await?;
    Ok(stored.flatten().map_or_else(|| log.to_owned(), |earlier| extended_log(Some(earlier), log)))
}

/// Leaves a stored value that the report does not have.
fn keep<T>(column: &mut ActiveValue<Option<T>>)
where
    Option<T>: Into<Value>,
{
    if column.as_ref().is_none() {
        *column = NotSet;
    }
}

/// Adds the start to stored runs that have finished, as far as their end did not report the same.
pub(in crate::store) async fn fill_start(
    transaction: &Transaction,
    starts: &[source_run::ActiveModel],
) -> Result<(), DbErr> {
    use source_run::Column::{Attempt, Id, Parent, StartDigest, StartedAt, Tags, Url};
    for start in starts {
        let mut update = source_run::Entity::update_many()
            .col_expr(StartDigest, Expr::value(start.start_digest.as_ref().clone()))
            .filter(Id.eq(*start.id.as_ref()))
            .filter(StartDigest.is_null());
        for (column, value) in [
            (StartedAt, start.started_at.as_ref().map(Value::from)),
            (Url, start.url.as_ref().clone().map(Value::from)),
            (Tags, start.tags.as_ref().clone().map(Value::from)),
            (Attempt, start.attempt.as_ref().map(Value::from)),
            (Parent, start.parent.as_ref().clone().map(Value::from)),
        ] {
            if let Some(value) = value {
                let known = Func::coalesce([Expr::col(column), Expr::value(value)]);
                update = update.col_expr(column, known.into());
            }
        }
        let updated = update.exec(transaction).await?;
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
