//! The latest run of each source, stored in its row because every snapshot reads it.

use std::collections::BTreeMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::SourceRunReport;
use crate::domain::run::{LastRun, RunState};
use crate::domain::time::Timestamp;
use crate::store::entity::{source, source_run};
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// The latest run of a source.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct LatestRun {
    /// The latest finished run, without backfill.
    last_run: Option<LastRun>,
    /// The latest run with steps, and its timestamp.
    steps: Option<(Timestamp, Uuid)>,
}

impl LatestRun {
    /// Keeps the later of two runs. Of two that finished at the same instant, the failed one, so that the order of
    /// arrival does not matter.
    pub(in crate::store) fn run_ended(&mut self, run: Option<LastRun>) {
        let rank = |run: &LastRun| (run.finished_at, run.state == RunState::Failed);
        self.last_run = self.last_run.into_iter().chain(run).max_by_key(rank);
    }

    /// Keeps the later run with steps.
    pub(in crate::store) fn steps_of(&mut self, id: Uuid, run: &SourceRunReport) {
        if !run.steps.is_empty() {
            self.steps = self.steps.max(Some((run.timestamp, id)));
        }
    }
}

/// Creates sources, and updates the latest run of existing ones.
pub(in crate::store) async fn upsert(
    transaction: &Transaction,
    sources: &BTreeMap<(PipelineKey, SourceKey), LatestRun>,
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
    for rows in rows.chunks(MAX_ROWS_PER_INSERT) {
        source::Entity::insert_many(rows.iter().cloned())
            .on_conflict(keep_latest())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn current(column: source::Column) -> Expr {
    Expr::col((source::Entity, column))
}

fn excluded(column: source::Column) -> Expr {
    Expr::col(("excluded", column))
}

/// [`LatestRun`] in SQL, between the current row and the excluded one.
fn keep_latest() -> OnConflict {
    use source::Column::{LastRunAt, LastRunState, StepsAt, StepsRun};
    let newer = |at, tie: Expr| {
        excluded(at)
            .is_not_null()
            .and(current(at).is_null().or(excluded(at).gt(current(at))).or(excluded(at).eq(current(at)).and(tie)))
    };
    let newer_run = newer(LastRunAt, excluded(LastRunState).eq(RunState::Failed.as_str()));
    let newer_steps = newer(StepsAt, excluded(StepsRun).gt(current(StepsRun)));
    let either = |condition: &Expr, column| {
        let case = Expr::case(condition.clone(), excluded(column)).finally(current(column));
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

/// Recomputes the last run from the stored runs, after a run has changed.
pub(in crate::store) async fn recompute_last_run(
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
