use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    SqlErr,
};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::cardinality::{Cardinality, Exceeded};
use crate::domain::health::Health;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::Report;
use crate::domain::revision::Revision;
use crate::store::connect::Connections;
use crate::store::entity::pipeline;
use crate::store::failure::is_conflict;
use crate::store::known_ids::{known_ids, parsed};
use crate::store::pruned_ids::{ReportId, pruned_ids};
use crate::store::room::Room;
use crate::store::rows::Rows;
use crate::store::transaction::Transaction;

/// Rows of one INSERT: 18 columns × 1,000 stay below SQLite's 32,766 parameters.
pub(super) const ROWS: usize = 1_000;
/// How often a group is begun anew when another server stored one of its ids in the meantime.
const ATTEMPTS: usize = 3;

/// A report to be stored, and what its quality counts come to.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The report.
    pub report: Report,
    /// The status of its metric.
    pub status: Health,
}

/// What became of a request's reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// One for each report, in their order.
    pub results: Vec<Recorded>,
    /// The revisions of the pipelines they went to.
    pub revisions: BTreeMap<PipelineKey, Revision>,
}

/// What became of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is committed under this id.
    Stored(Uuid),
    /// The same was committed before.
    Duplicate(Uuid),
    /// Something else was committed under this id before.
    Conflict(Uuid),
    /// The id is taken by another pipeline.
    OtherPipeline(Uuid),
    /// Its pipeline is being removed, and can be reported to afterwards. The id is the reporter's.
    PipelineBeingRemoved(Option<Uuid>),
    /// Its source is being removed, and can be reported to afterwards. The id is the reporter's.
    SourceBeingRemoved(Option<Uuid>),
    /// It names something new, of which there may be no more. The id is the reporter's.
    OverLimit(Option<Uuid>, Exceeded),
}

/// Writes a group of requests in one transaction: rows, sources and revisions.
pub(super) async fn record(
    connections: &Connections,
    clock: &Clock,
    limits: Cardinality,
    group: &[Vec<Entry>],
) -> Result<Vec<Receipt>, DbErr> {
    let mut attempt = 1;
    loop {
        match attempt_record(connections, clock, limits, group).await {
            Err(error) if attempt < ATTEMPTS && is_raced(&error) => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// Whether another server stored or ended what this one was about to.
fn is_raced(error: &DbErr) -> bool {
    matches!(error, DbErr::RecordNotUpdated)
        || matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
        || is_conflict(error)
}

async fn attempt_record(
    connections: &Connections,
    clock: &Clock,
    limits: Cardinality,
    group: &[Vec<Entry>],
) -> Result<Vec<Receipt>, DbErr> {
    let transaction = connections.write().await?;
    let mut known = known_ids(&transaction, group).await?;
    let pruned = pruned_ids(&transaction, group, clock.now()).await?;
    // The pipelines' rows are locked in the order of their keys, before anything is written: servers that write to the
    // same ones take turns and cannot deadlock, and revisions rise in the order of the commits.
    let (mut revisions, removing) = lock_pipelines(&transaction, group).await?;
    let now = clock.now();
    let mut room = Room::read(&transaction, group, &revisions, limits, now).await?;
    room.removing = removing;
    let mut rows = Rows::default();
    let results: Vec<Vec<Recorded>> = group
        .iter()
        .map(|entries| {
            let sort_in = |entry: &Entry| match pruned_id(entry, &pruned) {
                Some(id) => Recorded::Duplicate(id),
                None => rows.sort_in(entry, &mut known, &mut room),
            };
            entries.iter().map(sort_in).collect()
        })
        .collect();
    // Should another server have made one of them in the meantime, all is tried anew.
    let new = rows.pipelines.iter().filter(|key| !revisions.contains_key(*key)).map(|key| pipeline::ActiveModel {
        key: Set(key.as_str().to_owned()),
        revision: Set(Revision::after(None, now).get() - 1),
        ..Default::default()
    });
    pipeline::Entity::insert_many(new).exec_without_returning(&transaction).await?;
    rows.write(&transaction, now).await?;
    room.write(&transaction, now).await?;
    for key in &rows.pipelines {
        let revision = Revision::after(revisions.get(key).copied(), now);
        pipeline::Entity::update_many()
            .col_expr(pipeline::Column::Revision, Expr::value(revision.get()))
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .exec(&transaction)
            .await?;
        revisions.insert(key.clone(), revision);
    }
    transaction.commit().await?;
    // A commit to a file that was deleted meanwhile is lost with this process.
    connections.check_file()?;

    Ok(group.iter().zip(results).map(|(entries, results)| receipt(entries, results, &revisions)).collect())
}

/// The id of a report whose row was pruned.
fn pruned_id(entry: &Entry, pruned: &HashSet<ReportId>) -> Option<Uuid> {
    let (report, id) = (&entry.report, entry.report.id()?);
    pruned.contains(&(report.kind(), id, report.phase())).then_some(id)
}

fn receipt(entries: &[Entry], results: Vec<Recorded>, revisions: &BTreeMap<PipelineKey, Revision>) -> Receipt {
    let accepted = entries
        .iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, Recorded::Stored(_) | Recorded::Duplicate(_)))
        .filter_map(|(entry, _)| {
            let key = entry.report.pipeline();
            revisions.get(key).map(|revision| (key.clone(), *revision))
        })
        .collect();
    Receipt { results, revisions: accepted }
}

/// Locks those of the reports' pipelines that are there. The second are those that are being removed.
async fn lock_pipelines(
    transaction: &Transaction,
    group: &[Vec<Entry>],
) -> Result<(BTreeMap<PipelineKey, Revision>, HashSet<PipelineKey>), DbErr> {
    let keys: BTreeSet<&str> = group.iter().flatten().map(|entry| entry.report.pipeline().as_str()).collect();
    let rows = pipeline::Entity::find()
        .filter(pipeline::Column::Key.is_in(keys))
        .order_by_asc(pipeline::Column::Key)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let (mut revisions, mut removing) = (BTreeMap::new(), HashSet::new());
    for row in rows {
        let key: PipelineKey = parsed(&row.key)?;
        if row.removing_at.is_some() {
            removing.insert(key.clone());
        }
        revisions.insert(key, Revision::from_stored(row.revision));
    }
    Ok((revisions, removing))
}
