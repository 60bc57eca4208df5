//! What stands in a source's row of its newest run: it is asked for at every snapshot.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::SourceRunReport;
use crate::domain::run::{LastRun, RunState};
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::store::entity::{source, source_run};
use crate::store::record::ROWS;
use crate::store::transaction::Transaction;

/// What is newest of a source.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Newest {
    /// Its newest finished run that was no backfill.
    last_run: Option<LastRun>,
    /// The newest run that told of its steps, and when it did.
    steps: Option<(Timestamp, Uuid)>,
}

impl Newest {
    /// The newer of two runs; of two that ended at the same instant the failed one, so that the order in which reports
    /// come does not matter.
    pub(super) fn run_ended(&mut self, run: Option<LastRun>) {
        let rank = |run: &LastRun| (run.finished_at, run.state == RunState::Failed);
        self.last_run = self.last_run.into_iter().chain(run).max_by_key(rank);
    }

    /// The same for runs that tell of their steps.
    pub(super) fn steps_of(&mut self, id: Uuid, run: &SourceRunReport) {
        if !run.steps.is_empty() {
            self.steps = self.steps.max(Some((run.timestamp, id)));
        }
    }
}

/// Registers sources, and keeps what is newest of those that are there.
pub(super) async fn upsert(
    transaction: &Transaction,
    sources: &BTreeMap<(PipelineKey, SourceKey), Newest>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let rows: Vec<source::ActiveModel> = sources
        .iter()
        .map(|((pipeline, key), newest)| source::ActiveModel {
            pipeline: Set(pipeline.as_str().to_owned()),
            key: Set(key.as_str().to_owned()),
            enabled: Set(true),
            last_run_at: Set(newest.last_run.map(|last| last.finished_at)),
            last_run_state: Set(newest.last_run.map(|last| last.state.as_str().to_owned())),
            steps_run: Set(newest.steps.map(|(_, run)| run)),
            steps_at: Set(newest.steps.map(|(at, _)| at)),
            expected_every: Set(None),
            grace: Set(None),
            expected_since: Set(Some(now)),
            labels: Set(None),
            removing_at: Set(None),
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        source::Entity::insert_many(rows.iter().cloned())
            .on_conflict(keep_newest())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn stored(column: source::Column) -> Expr {
    Expr::col((source::Entity, column))
}

fn coming(column: source::Column) -> Expr {
    Expr::col(("excluded", column))
}

/// [`Newest`] in SQL, between the stored row and the one that comes.
fn keep_newest() -> OnConflict {
    use source::Column::{LastRunAt, LastRunState, StepsAt, StepsRun};
    let newer = |at, tie: Expr| {
        coming(at)
            .is_not_null()
            .and(stored(at).is_null().or(coming(at).gt(stored(at))).or(coming(at).eq(stored(at)).and(tie)))
    };
    let newer_run = newer(LastRunAt, coming(LastRunState).eq(RunState::Failed.as_str()));
    let newer_steps = newer(StepsAt, coming(StepsRun).gt(stored(StepsRun)));
    let either = |condition: &Expr, column| {
        let case = Expr::case(condition.clone(), coming(column)).finally(stored(column));
        (column, Expr::Case(Box::new(case)))
    };
    OnConflict::columns([source::Column::Pipeline, source::Column::Key])
        .values([
            either(&newer_run, LastRunAt),
            either(&newer_run, LastRunState),
            either(&newer_steps, StepsAt),
            either(&newer_steps, StepsRun),
        ])
        .action_and_where(newer_run.or(newer_steps))
        .to_owned()
}

/// Looks up the last run among the runs, after one has turned out otherwise than it stood.
pub(super) async fn recall_last_run(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    key: &SourceKey,
) -> Result<(), DbErr> {
    let failed = source_run::Column::State.eq(RunState::Failed.as_str());
    let newest = source_run::Entity::find()
        .filter(source_run::Column::Pipeline.eq(pipeline.as_str()))
        .filter(source_run::Column::Source.eq(key.as_str()))
        .filter(source_run::Column::FinishedAt.is_not_null())
        .filter(source_run::Column::Backfill.eq(false))
        .order_by_desc(source_run::Column::FinishedAt)
        .order_by_desc(failed)
        .one(transaction)
        .await?;
    source::Entity::update_many()
        .col_expr(source::Column::LastRunAt, Expr::value(newest.as_ref().and_then(|run| run.finished_at)))
        .col_expr(source::Column::LastRunState, Expr::value(newest.map(|run| run.state)))
        .filter(source::Column::Pipeline.eq(pipeline.as_str()))
        .filter(source::Column::Key.eq(key.as_str()))
        .exec(transaction)
        .await
        .map(drop)
}
