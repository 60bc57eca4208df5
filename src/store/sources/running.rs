//! Runs that have started and not finished.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select};

use crate::domain::key::PipelineKey;
use crate::domain::run::{RunState, RunningRun};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::source_run;
use crate::store::handle::Store;
use crate::store::leases::{Lease, is_held};
use crate::store::pipelines::revision::bump_revision;
use crate::store::reports::latest_run::recompute_last_run;

/// How many runs of a source the usual duration is computed from.
const LAST_RUNS: u64 = 20;

/// Selects running runs. The state is a constant, as in the partial index: SQLite would scan all runs for a
/// parameter.
pub(in crate::store) fn running() -> Select<source_run::Entity> {
    let state = Expr::col((source_run::Entity, source_run::Column::State));
    source_run::Entity::find().filter(state.eq(Expr::Constant(RunState::Running.as_str().into())))
}

impl Store {
    /// Returns the running runs, each with the durations of its source's last runs.
    pub async fn running_runs(&self) -> Result<Vec<(RunningRun, Vec<TimeDelta>)>> {
        let rows = running().all(self.connections.reader()).await.map_err(Error::database)?;
        let mut usual = BTreeMap::new();
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows {
            let key = (row.pipeline.clone(), row.source.clone());
            let durations = match usual.get(&key) {
                Some(durations) => Vec::clone(durations),
                None => self.durations(&row.pipeline, &row.source).await?,
            };
            usual.insert(key, durations.clone());
            let run = RunningRun {
                key: row.id,
                pipeline: parse_column("pipeline", &row.pipeline)?,
                source: parse_column("source", &row.source)?,
                started_at: row.started_at.unwrap_or(row.received_at),
            };
            runs.push((run, durations));
        }
        Ok(runs)
    }

    /// Returns the durations of a source's last runs that have a start.
    async fn durations(&self, pipeline: &str, source: &str) -> Result<Vec<TimeDelta>> {
        let runs: Vec<(Option<Timestamp>, Option<Timestamp>)> = source_run::Entity::find()
            .select_only()
            .columns([source_run::Column::StartedAt, source_run::Column::FinishedAt])
            .filter(source_run::Column::Pipeline.eq(pipeline))
            .filter(source_run::Column::Source.eq(source))
            .filter(source_run::Column::FinishedAt.is_not_null())
            .filter(source_run::Column::StartedAt.is_not_null())
            .filter(source_run::Column::State.ne(RunState::Lost.as_str()))
            .order_by_desc(source_run::Column::FinishedAt)
            .limit(LAST_RUNS)
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(runs.into_iter().filter_map(|(started, finished)| Some(finished? - started?)).collect())
    }

    /// Marks runs of a pipeline as lost, at `now`. Runs that have finished in the meantime are left unchanged.
    /// Returns whether the lease still holds; if not, no run is changed.
    pub async fn mark_lost(
        &self,
        lease: &Lease,
        pipeline: &PipelineKey,
        runs: &[RunningRun],
        now: Timestamp,
    ) -> Result<bool> {
        let transaction = self.write().await?;
        if !is_held(&transaction, lease).await? {
            return Ok(false);
        }
        let revision = bump_revision(&transaction, pipeline, &self.clock).await?;
        source_run::Entity::update_many()
            .col_expr(source_run::Column::State, Expr::value(RunState::Lost.as_str()))
            .col_expr(source_run::Column::FinishedAt, Expr::value(now))
            .filter(source_run::Column::Id.is_in(runs.iter().map(|run| run.key)))
            .filter(source_run::Column::State.eq(RunState::Running.as_str()))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        let sources: BTreeSet<_> = runs.iter().map(|run| &run.source).collect();
        for source in sources {
            recompute_last_run(&transaction, pipeline, source).await.map_err(Error::database)?;
        }
        transaction.commit().await.map_err(Error::database)?;
        self.revisions.committed(pipeline, revision);
        Ok(true)
    }
}
