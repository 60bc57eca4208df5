//! The time from which on roll-ups can be rebuilt.

use sea_orm::{DbErr, EntityTrait as _};

use crate::domain::key::PipelineKey;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::entity::retention_watermark;
use crate::store::transaction::Transaction;

/// Returns the instant from which on all raw rows of a pipeline are retained. It is the start of a day.
pub(in crate::store) async fn retained_since(
    transaction: &Transaction,
    pipeline: &PipelineKey,
) -> Result<Timestamp, DbErr> {
    let pruned = retention_watermark::Entity::find_by_id(pipeline.as_str()).one(transaction).await?;
    // Reports from before 1970 are refused.
    Ok(pruned.map_or(Timestamp::UNIX_EPOCH, |pruned| pruned.retained_since))
}
