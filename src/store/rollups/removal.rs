//! Removes a source from the roll-ups of its pipeline.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::entity::quality_rollup;
use crate::store::transaction::Transaction;

/// Subtracts a source from the roll-ups of its pipeline and deletes its own, about `limit` of them. The sums of the pipeline
/// cannot be recomputed, since raw rows may be pruned. Returns whether roll-ups of the source are left. The pipeline's row
/// must be locked.
pub(in crate::store) async fn remove_source_rollups(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: &SourceKey,
    limit: u64,
) -> Result<bool, DbErr> {
    use quality_rollup::Column::{Basis, Bucket, BucketStart, Pipeline, Source};
    let backend = transaction.get_database_backend();
    let own =
        || quality_rollup::Entity::find().filter(Pipeline.eq(pipeline.as_str())).filter(Source.eq(source.as_str()));
    let first = own().order_by_asc(Bucket).order_by_asc(Basis).order_by_asc(BucketStart).one(transaction).await?;
    let Some(first) = first else { return Ok(false) };
    // All series of an instant go together.
    let starts: Vec<Timestamp> = own()
        .select_only()
        .column(BucketStart)
        .filter(Bucket.eq(first.bucket.as_str()))
        .filter(Basis.eq(first.basis.as_str()))
        .order_by_asc(BucketStart)
        .limit(limit)
        .into_tuple()
        .all(transaction)
        .await?;
    let last = starts.last().copied().unwrap_or(first.bucket_start);
    for sql in [
        "UPDATE quality_rollups SET runs = quality_rollups.runs - own.runs, \
         total = CASE WHEN quality_rollups.total > own.total THEN quality_rollups.total - own.total ELSE 0 END, \
         passes = CASE WHEN quality_rollups.passes > own.passes THEN quality_rollups.passes - own.passes ELSE 0 END \
         FROM quality_rollups AS own WHERE own.pipeline = $1 AND own.source = $2 AND own.bucket = $3 \
         AND own.basis = $4 AND own.bucket_start <= $5 \
         AND quality_rollups.pipeline = $1 AND quality_rollups.source = '' \
         AND quality_rollups.bucket = own.bucket AND quality_rollups.basis = own.basis \
         AND quality_rollups.bucket_start = own.bucket_start AND quality_rollups.series = own.series",
        "INSERT INTO dirty_hours (pipeline, bucket_start) SELECT DISTINCT pipeline, bucket_start \
         FROM quality_rollups WHERE pipeline = $1 AND source = $2 AND bucket = $3 AND bucket = 'hour' \
         AND basis = $4 AND bucket_start <= $5 AND series NOT IN ('articles', 'events') \
         AND series NOT LIKE 'counts.%' ON CONFLICT DO NOTHING",
        // Sums to which no other source contributes.
        "DELETE FROM quality_rollups WHERE pipeline = $1 AND source = '' AND bucket = $3 AND basis = $4 \
         AND bucket_start <= $5 AND runs = 0 AND EXISTS (SELECT 1 FROM quality_rollups AS own \
         WHERE own.pipeline = $1 AND own.source = $2 AND own.bucket = $3 AND own.basis = $4 \
         AND own.bucket_start = quality_rollups.bucket_start AND own.series = quality_rollups.series)",
        "DELETE FROM quality_rollups WHERE pipeline = $1 AND source = $2 AND bucket = $3 AND basis = $4 \
         AND bucket_start <= $5",
    ] {
        let values = [
            pipeline.as_str().into(),
            source.as_str().into(),
            first.bucket.as_str().into(),
            first.basis.as_str().into(),
            last.into(),
        ];
        transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(own().select_only().expr(Expr::value(1)).limit(1).into_tuple::<i32>().one(transaction).await?.is_some())
}
