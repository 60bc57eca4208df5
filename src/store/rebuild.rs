//! Roll-ups made anew from what they sum, and without a source that is removed.

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, Statement};

use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::pruned_rows;
use crate::store::registry::hold;
use crate::store::transaction::Transaction;
use crate::store::{REBUILD_LIMIT, Store};

const COLUMNS: &str = "(pipeline, source, bucket, basis, bucket_start, series, runs, total, passes)";

impl Store {
    /// Makes a pipeline's roll-ups anew from its raw rows, in one transaction. Those of days whose raw rows were pruned
    /// stay as they are. Gives the number of roll-ups made.
    pub async fn rebuild_rollups(&self, pipeline: &PipelineKey) -> Result<u64> {
        let transaction = self.begin_maintenance(REBUILD_LIMIT).await?;
        // Held to the end: no report may come in between, and nothing more may be pruned.
        if !hold(&transaction, pipeline).await.map_err(Error::database)? {
            return Err(Error::PipelineNotFound(pipeline.clone()));
        }
        let made = rebuild(&transaction, pipeline).await.map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(made)
    }
}

async fn rebuild(transaction: &Transaction, pipeline: &PipelineKey) -> Result<u64, DbErr> {
    let backend = transaction.get_database_backend();
    let since = pruned_before(transaction, pipeline).await?;
    let mut made = 0;
    for (counts, sql) in [
        (false, "DELETE FROM quality_rollups WHERE pipeline = $1 AND bucket_start >= $2".to_owned()),
        (true, hours_of_rows(backend)),
        (true, days_of_hours(backend)),
        (true, wholes_of_sources()),
        (
            false,
            "INSERT INTO hours_to_close (pipeline, bucket_start) SELECT DISTINCT pipeline, bucket_start \
             FROM quality_rollups WHERE pipeline = $1 AND bucket = 'hour' AND bucket_start >= $2 \
             AND series NOT IN ('articles', 'events') ON CONFLICT DO NOTHING"
                .to_owned(),
        ),
    ] {
        let values = [pipeline.as_str().into(), since.into()];
        let done = transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        made += if counts { done.rows_affected() } else { 0 };
    }
    Ok(made)
}

/// From this instant on all raw rows of a pipeline are there; its days are whole.
pub(super) async fn pruned_before(transaction: &Transaction, pipeline: &PipelineKey) -> Result<Timestamp, DbErr> {
    let pruned = pruned_rows::Entity::find_by_id(pipeline.as_str()).one(transaction).await?;
    // No report is from before 1970.
    Ok(pruned.map_or(Timestamp::UNIX_EPOCH, |pruned| pruned.before))
}

/// The hours of each source, and of the pipeline where rows are about the whole of it.
fn hours_of_rows(backend: DbBackend) -> String {
    let check = |name: &str, attempts: &str, passes: &str| {
        format!(
            "SELECT COALESCE(source, '') AS source, CASE WHEN metric_type = 'hourly' AND source IS NOT NULL \
             THEN 'hourly-of-sources' ELSE metric_type END AS basis, {} AS hour, '{name}' AS series, \
             {attempts} AS total, {passes} AS passes FROM data_quality_metrics \
             WHERE pipeline = $1 AND timestamp >= $2 AND {attempts} > 0 \
             AND NOT (metric_type = 'hourly' AND digest IS NULL)",
            start_of("hour", "timestamp", backend)
        )
    };
    let volume = |name: &str, column: &str| {
        format!(
            "SELECT source, 'source-specific', {}, '{name}', {column}, 0 FROM source_runs \
             WHERE pipeline = $1 AND finished_at >= $2 AND ({column} > 0 OR {column} = 0 AND state = 'ok')",
            start_of("hour", "finished_at", backend)
        )
    };
    let rows = [
        check("geocoding", "geocoding_attempts", "geocoding_successes"),
        check("validation", "validation_attempts", "validation_passes"),
        format!(
            "SELECT COALESCE(m.source, ''), CASE WHEN m.metric_type = 'hourly' AND m.source IS NOT NULL \
             THEN 'hourly-of-sources' ELSE m.metric_type END, {}, c.name, c.attempts, c.passes \
             FROM data_quality_metrics AS m JOIN metric_checks AS c ON c.metric_id = m.id \
             WHERE m.pipeline = $1 AND m.timestamp >= $2 AND c.attempts > 0 \
             AND NOT (m.metric_type = 'hourly' AND m.digest IS NULL)",
            start_of("hour", "m.timestamp", backend)
        ),
        volume("articles", "articles_collected"),
        volume("events", "events_extracted"),
    ]
    .join(" UNION ALL ");
    format!(
        "INSERT INTO quality_rollups {COLUMNS} \
         SELECT CAST($1 AS varchar), source, 'hour', basis, hour, series, COUNT(*), SUM(total), SUM(passes) \
         FROM ({rows}) AS counted GROUP BY source, basis, hour, series"
    )
}

fn days_of_hours(backend: DbBackend) -> String {
    let day = start_of("day", "bucket_start", backend);
    format!(
        "INSERT INTO quality_rollups {COLUMNS} \
         SELECT pipeline, source, 'day', basis, {day}, series, SUM(runs), SUM(total), SUM(passes) \
         FROM quality_rollups WHERE pipeline = $1 AND bucket = 'hour' AND bucket_start >= $2 \
         GROUP BY pipeline, source, basis, {day}, series"
    )
}

fn wholes_of_sources() -> String {
    format!(
        "INSERT INTO quality_rollups {COLUMNS} \
         SELECT pipeline, '', bucket, basis, bucket_start, series, SUM(runs), SUM(total), SUM(passes) \
         FROM quality_rollups WHERE pipeline = $1 AND bucket_start >= $2 AND source <> '' \
         GROUP BY pipeline, bucket, basis, bucket_start, series"
    )
}

/// Where the hour or day of a column's instant begins, as the server would write it.
fn start_of(bucket: &str, column: &str, backend: DbBackend) -> String {
    match (backend, bucket) {
        (DbBackend::Postgres, _) => format!("date_trunc('{bucket}', {column}, 'UTC')"),
        (_, "hour") => format!("substr({column}, 1, 13) || ':00:00+00:00'"),
        _ => format!("substr({column}, 1, 10) || 'T00:00:00+00:00'"),
    }
}

/// Takes a source out of the roll-ups. The sums of the whole pipeline are those of its sources, some of whose raw rows
/// may be pruned, so what is this source's is taken from them.
pub(super) async fn remove_source_rollups(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: &SourceKey,
) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    for sql in [
        "UPDATE quality_rollups SET runs = quality_rollups.runs - own.runs, \
         total = quality_rollups.total - own.total, passes = quality_rollups.passes - own.passes \
         FROM quality_rollups AS own WHERE own.pipeline = $1 AND own.source = $2 \
         AND quality_rollups.pipeline = $1 AND quality_rollups.source = '' \
         AND quality_rollups.bucket = own.bucket AND quality_rollups.basis = own.basis \
         AND quality_rollups.bucket_start = own.bucket_start AND quality_rollups.series = own.series",
        "INSERT INTO hours_to_close (pipeline, bucket_start) SELECT DISTINCT pipeline, bucket_start \
         FROM quality_rollups WHERE pipeline = $1 AND source = $2 AND bucket = 'hour' \
         AND series NOT IN ('articles', 'events') ON CONFLICT DO NOTHING",
        "DELETE FROM quality_rollups WHERE pipeline = $1 AND source = $2",
        // What was this source's alone.
        "DELETE FROM quality_rollups WHERE pipeline = $1 AND source = '' AND runs = 0 AND source <> $2",
    ] {
        let values = [pipeline.as_str().into(), source.as_str().into()];
        transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}
