//! Reads the steps of runs.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::key::PipelineKey;
use crate::domain::step::{PipelineStep, Step, last_cycle as merge};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::{run_step, source};
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// Returns the steps of runs, in order.
pub(in crate::store) async fn steps_of(
    connection: &impl ConnectionTrait,
    runs: Vec<Uuid>,
) -> Result<HashMap<Uuid, Vec<Step>>> {
    let mut steps: HashMap<Uuid, Vec<Step>> = HashMap::new();
    let mut rows = Vec::new();
    for runs in runs.chunks(MAX_ROWS_PER_INSERT) {
        let some = run_step::Entity::find()
            .filter(run_step::Column::RunId.is_in(runs.iter().copied()))
            .order_by_asc(run_step::Column::Position)
            .all(connection)
            .await;
        rows.extend(some.map_err(Error::database)?);
    }
    for row in rows {
        steps.entry(row.run_id).or_default().push(Step {
            name: parse_column("step", &row.name)?,
            state: parse_column("step state", &row.state)?,
            items_in: row.items_in.map(i64::unsigned_abs),
            items_out: row.items_out.map(i64::unsigned_abs),
            started_at: row.started_at,
            ended_at: row.ended_at,
        });
    }
    Ok(steps)
}

/// Returns the steps of a pipeline's last cycle: of the latest runs of its enabled sources, as far as they are newer
/// than `since`.
pub(in crate::store) async fn last_cycle(
    transaction: &Transaction,
    key: &PipelineKey,
    since: Timestamp,
) -> Result<Vec<PipelineStep>> {
    let runs: Vec<Uuid> = source::Entity::find()
        .select_only()
        .column(source::Column::StepsRun)
        .filter(source::Column::Pipeline.eq(key.as_str()))
        .filter(source::Column::Enabled.eq(true))
        .filter(source::Column::RemovingAt.is_null())
        .filter(source::Column::StepsAt.gt(since))
        .order_by_asc(source::Column::Key)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(Error::database)?;
    let steps = steps_of(transaction, runs.clone()).await?;
    Ok(merge(runs.iter().filter_map(|run| steps.get(run)).map(Vec::as_slice)))
}
