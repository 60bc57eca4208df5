//! Writes the reports of several requests in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, SqlErr};

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::store::columns::parse_text;
use crate::store::connections::Connections;
use crate::store::entity::pipeline;
use crate::store::failure::is_conflict;
use crate::store::reports::batch::ReportBatch;
use crate::store::reports::idempotency::existing_reports;
use crate::store::reports::pruned_ids::pruned_ids;
use crate::store::reports::quotas::Quotas;
use crate::store::reports::report::{NewReport, Receipt, RecordOutcome};
use crate::store::transaction::Transaction;

/// Maximum number of attempts when another server stores one of the ids first.
const ATTEMPTS: usize = 3;

/// Writes the reports of several requests in one transaction: rows, sources and revisions.
pub(in crate::store) async fn record(
    connections: &Connections,
    clock: &Clock,
    limits: Cardinality,
    batch: &[Vec<NewReport>],
) -> Result<Vec<Receipt>, DbErr> {
    let mut attempt = 1;
    loop {
        match attempt_record(connections, clock, limits, batch).await {
            Err(error) if attempt < ATTEMPTS && is_write_conflict(&error) => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// Whether another server stored or finished the same reports first.
fn is_write_conflict(error: &DbErr) -> bool {
    matches!(error, DbErr::RecordNotUpdated)
        || matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
        || is_conflict(error)
}

async fn attempt_record(
    connections: &Connections,
    clock: &Clock,
    limits: Cardinality,
    batch: &[Vec<NewReport>],
) -> Result<Vec<Receipt>, DbErr> {
    let transaction = connections.write().await?;
    let mut known = existing_reports(&transaction, batch).await?;
    let pruned = pruned_ids(&transaction, batch, clock.now()).await?;
    // The pipelines' rows are locked in the order of their keys before anything is written: servers that write to the
    // same pipelines take turns without deadlocks, and revisions rise in commit order.
    let (mut revisions, removing) = lock_pipelines(&transaction, batch).await?;
    let now = clock.now();
    let mut quotas = Quotas::read(&transaction, batch, &revisions, limits, now).await?;
    quotas.removing = removing;
    let mut rows = ReportBatch::default();
    let results: Vec<Vec<RecordOutcome>> = batch
        .iter()
        .enumerate()
        .map(|(request, entries)| {
            let add = |(place, entry): (usize, &NewReport)| match entry.report.id() {
                Some(id) if pruned.contains(&(request, place)) => RecordOutcome::Duplicate(id),
                _ => rows.add(entry, &mut known, &mut quotas),
            };
            entries.iter().enumerate().map(add).collect()
        })
        .collect();
    // If another server has created one of them in the meantime, the whole batch is retried.
    let new =
        rows.affected_pipelines.iter().filter(|key| !revisions.contains_key(*key)).map(|key| pipeline::ActiveModel {
            key: Set(key.as_str().to_owned()),
            revision: Set(Revision::after(None, now).get() - 1),
            ..Default::default()
        });
    pipeline::Entity::insert_many(new).exec_without_returning(&transaction).await?;
    rows.write(&transaction, now).await?;
    quotas.write(&transaction, now).await?;
    for key in &rows.affected_pipelines {
        let revision = Revision::after(revisions.get(key).copied(), now);
        pipeline::Entity::update_many()
            .col_expr(pipeline::Column::Revision, Expr::value(revision.get()))
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .exec(&transaction)
            .await?;
        revisions.insert(key.clone(), revision);
    }
    transaction.commit().await?;
    // A commit to a file that has been deleted is lost when this process ends.
    connections.check_file()?;

    Ok(batch.iter().zip(results).map(|(entries, results)| receipt(entries, results, &revisions)).collect())
}

fn receipt(entries: &[NewReport], results: Vec<RecordOutcome>, revisions: &BTreeMap<PipelineKey, Revision>) -> Receipt {
    let accepted = entries
        .iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, RecordOutcome::Stored(_) | RecordOutcome::Duplicate(_)))
        .filter_map(|(entry, _)| {
            let key = entry.report.pipeline();
            revisions.get(key).map(|revision| (key.clone(), *revision))
        })
        .collect();
    Receipt { results, revisions: accepted }
}

/// Locks the existing pipelines of the reports. Returns their revisions, and which of them are being removed.
async fn lock_pipelines(
    transaction: &Transaction,
    batch: &[Vec<NewReport>],
) -> Result<(BTreeMap<PipelineKey, Revision>, HashSet<PipelineKey>), DbErr> {
    let keys: BTreeSet<&str> = batch.iter().flatten().map(|entry| entry.report.pipeline().as_str()).collect();
    let rows = pipeline::Entity::find()
        .filter(pipeline::Column::Key.is_in(keys))
        .order_by_asc(pipeline::Column::Key)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let (mut revisions, mut removing) = (BTreeMap::new(), HashSet::new());
    for row in rows {
        let key: PipelineKey = parse_text(&row.key)?;
        if row.removing_at.is_some() {
            removing.insert(key.clone());
        }
        revisions.insert(key, Revision::from_stored(row.revision));
    }
    Ok((revisions, removing))
}
