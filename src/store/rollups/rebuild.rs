//! Rebuilds roll-ups from raw rows in short transactions.

use std::time::{Duration, Instant};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryOrder as _, Statement, Value};
use tokio::time::sleep;

use crate::domain::key::PipelineKey;
use crate::domain::rollup::Bucket;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::rollup_rebuild;
use crate::store::handle::Store;
use crate::store::pipelines::revision::lock_pipeline;
use crate::store::rollups::watermark::retained_since;
use crate::store::statements::{capped_sum, each_count};
use crate::store::transaction::Transaction;

const COLUMNS: &str = "(pipeline, source, bucket, basis, bucket_start, series, runs, total, passes)";
const BASES: &str = "('aggregate', 'source-specific', 'hourly', 'hourly-of-sources')";
/// Maximum time of a transaction, while the pipeline's reporters wait.
const BATCH_TIME: Duration = Duration::from_millis(100);
/// Statement timeout of a rebuild.
const BATCH_LIMIT: Duration = Duration::from_mins(1);
/// A day with at most this many rows is rebuilt as a whole, a larger one hour by hour.
const ROWS_AT_ONCE: i64 = 1_000;

/// An unfinished rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRebuild {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// Hours before this instant are rebuilt, and the days that ended by then.
    pub next_hour: Timestamp,
}

impl Store {
    /// Rebuilds a pipeline's roll-ups from its raw rows. Days with pruned raw rows stay as they are. Returns the
    /// number of roll-ups written.
    pub async fn rebuild_rollups(&self, pipeline: &PipelineKey) -> Result<u64> {
        self.request_rebuild(pipeline).await?;
        self.resume_rebuild(pipeline, |_| {}).await
    }

    /// Requests a rebuild of a pipeline's roll-ups. It is finished even if this process crashes.
    pub async fn request_rebuild(&self, pipeline: &PipelineKey) -> Result<()> {
        let transaction = self.write().await?;
        if !lock_pipeline(&transaction, pipeline).await.map_err(Error::database)? {
            return Err(Error::PipelineNotFound(pipeline.clone()));
        }
        note(&transaction, pipeline, Timestamp::UNIX_EPOCH).await.map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)
    }

    /// Returns the unfinished rebuilds.
    pub async fn pending_rebuilds(&self) -> Result<Vec<PendingRebuild>> {
        let rows = rollup_rebuild::Entity::find()
            .order_by_asc(rollup_rebuild::Column::Pipeline)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let pending = |row: rollup_rebuild::Model| {
            Ok(PendingRebuild { pipeline: parse_column("pipeline", &row.pipeline)?, next_hour: row.next_hour })
        };
        rows.into_iter().map(pending).collect()
    }

    /// Finishes a rebuild in short transactions, between which reporters write, and reports its progress. Several
    /// processes may work on the same rebuild. Returns the number of roll-ups that this one wrote.
    pub async fn resume_rebuild(&self, pipeline: &PipelineKey, progress: impl Fn(Timestamp)) -> Result<u64> {
        let mut made = 0;
        loop {
            let begin = Instant::now();
            let transaction = self.begin_maintenance(BATCH_LIMIT).await?;
            let batch = rebuild_batch(&transaction, pipeline).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            let Some(batch) = batch else { return Ok(made) };
            made += batch.made;
            progress(batch.next_hour);
            // Reporters get at least half of the time.
            sleep(begin.elapsed()).await;
        }
    }
}

async fn note(transaction: &Transaction, pipeline: &PipelineKey, next_hour: Timestamp) -> Result<(), DbErr> {
    use rollup_rebuild::Column::{NextHour, Pipeline};
    let row = rollup_rebuild::ActiveModel { pipeline: Set(pipeline.as_str().to_owned()), next_hour: Set(next_hour) };
    rollup_rebuild::Entity::insert(row)
        .on_conflict(OnConflict::column(Pipeline).update_column(NextHour).to_owned())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Whether a rebuild still needs the pipeline's raw rows.
pub(in crate::store) async fn is_rebuilding(transaction: &Transaction, pipeline: &PipelineKey) -> Result<bool, DbErr> {
    Ok(rollup_rebuild::Entity::find_by_id(pipeline.as_str()).one(transaction).await?.is_some())
}

struct Batch {
    made: u64,
    next_hour: Timestamp,
}

/// Rebuilds a range of hours, and records the progress in the same transaction. Returns `None` when nothing is left.
async fn rebuild_batch(transaction: &Transaction, pipeline: &PipelineKey) -> Result<Option<Batch>, DbErr> {
    // Locked to the end of the transaction: a report committed before is among the raw rows, and a later one adds to
    // the new sums.
    if !lock_pipeline(transaction, pipeline).await? {
        return Ok(None);
    }
    let Some(row) = rollup_rebuild::Entity::find_by_id(pipeline.as_str()).one(transaction).await? else {
        return Ok(None);
    };
    let begun = Instant::now();
    let since = row.next_hour.max(retained_since(transaction, pipeline).await?);
    let mut batch = Batch { made: 0, next_hour: since };
    let stretch = Stretch { transaction, pipeline };
    while begun.elapsed() < BATCH_TIME {
        let Some((next_hour, made)) = stretch.step(batch.next_hour).await? else {
            rollup_rebuild::Entity::delete_by_id(pipeline.as_str()).exec(transaction).await?;
            return Ok(Some(batch));
        };
        batch = Batch { made: batch.made + made, next_hour };
    }
    note(transaction, pipeline, batch.next_hour).await?;
    Ok(Some(batch))
}

struct Stretch<'a> {
    transaction: &'a Transaction,
    pipeline: &'a PipelineKey,
}

impl Stretch<'_> {
    /// Rebuilds the next non-empty hour or day. Returns where the next one begins and the number of roll-ups written;
    /// `None` when nothing is left.
    async fn step(&self, since: Timestamp) -> Result<Option<(Timestamp, u64)>, DbErr> {
        let found = self.first_since(since).await?;
        let day = Bucket::Day.start_of(since);
        let tomorrow = day + Bucket::Day.length();
        if since > day && found.is_none_or(|found| found >= tomorrow) {
            // The rest of a partly rebuilt day is empty.
            return Ok(Some((tomorrow, self.hours(since, tomorrow).await? + self.day(day).await?)));
        }
        let Some(found) = found else { return Ok(None) };
        let day = Bucket::Day.start_of(found);
        let (from, tomorrow) = (since.max(day), day + Bucket::Day.length());
        let is_small = from == day && self.rows(day, tomorrow).await? <= ROWS_AT_ONCE;
        let to = if is_small { tomorrow } else { Bucket::Hour.start_of(found) + Bucket::Hour.length() };
        let mut made = self.hours(from, to).await?;
        if to == tomorrow {
            made += self.day(day).await?;
        }
        Ok(Some((to, made)))
    }

    /// Returns the first instant of a raw row or of a daily roll-up.
    async fn first_since(&self, since: Timestamp) -> Result<Option<Timestamp>, DbErr> {
        let days = ["aggregate", "source-specific", "hourly", "hourly-of-sources"].map(|basis| {
            // The pipeline's sums include those of its sources.
            format!(
                "SELECT MIN(bucket_start) FROM quality_rollups WHERE pipeline = $1 AND source = '' AND bucket = 'day' \
                 AND basis = '{basis}' AND bucket_start >= $2"
            )
        });
        let sql = format!(
            "SELECT MIN(at) FROM (\
             SELECT MIN(finished_at) AS at FROM source_runs WHERE pipeline = $1 AND finished_at >= $2 UNION ALL \
             SELECT MIN(timestamp) FROM data_quality_metrics WHERE pipeline = $1 AND timestamp >= $2 UNION ALL {}\
             ) AS found",
            days.join(" UNION ALL ")
        );
        let row = self.transaction.query_one_raw(self.statement(sql, [since.into()])).await?;
        row.map_or(Ok(None), |row| row.try_get_by_index(0))
    }

    /// Counts the raw rows of a time range, up to the limit for rebuilding a whole day.
    async fn rows(&self, from: Timestamp, to: Timestamp) -> Result<i64, DbErr> {
        let some = |table: &str, column: &str| {
            let limit = ROWS_AT_ONCE + 1;
            format!(
                "(SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE pipeline = $1 AND {column} >= $2 AND {column} < $3 \
                 LIMIT {limit}) AS few)"
            )
        };
        let sql =
            format!("SELECT {} + {}", some("source_runs", "finished_at"), some("data_quality_metrics", "timestamp"));
        let row = self.transaction.query_one_raw(self.statement(sql, [from.into(), to.into()])).await?;
        row.map_or(Ok(0), |row| row.try_get_by_index(0))
    }

    /// Rebuilds the hours of a time range.
    async fn hours(&self, from: Timestamp, to: Timestamp) -> Result<u64, DbErr> {
        let backend = self.transaction.get_database_backend();
        self.execute(delete_rollups("hour", backend), from, to).await?;
        let made = self.execute(hours_of_rows(backend), from, to).await?;
        let closing = format!(
            "INSERT INTO dirty_hours (pipeline, bucket_start) SELECT DISTINCT pipeline, bucket_start \
             FROM quality_rollups WHERE pipeline = $1 AND source = '' AND bucket = 'hour' AND basis IN {BASES} \
             AND bucket_start >= $2 AND bucket_start < $3 AND series NOT IN ('articles', 'events') \
             AND series NOT LIKE 'counts.%' ON CONFLICT DO NOTHING"
        );
        self.execute(closing, from, to).await?;
        Ok(made)
    }

    /// Rebuilds a day whose hours are rebuilt.
    async fn day(&self, day: Timestamp) -> Result<u64, DbErr> {
        let (backend, tomorrow) = (self.transaction.get_database_backend(), day + Bucket::Day.length());
        self.execute(delete_rollups("day", backend), day, tomorrow).await?;
        let made = self.execute(days_of_hours(backend), day, tomorrow).await?;
        for (table, name, condition) in [
            (
                "pipeline_checks",
                "series",
                "series NOT IN ('articles', 'events', 'geocoding', 'validation') AND series NOT LIKE 'counts.%'",
            ),
            ("pipeline_counts", "substr(series, 8)", "series LIKE 'counts.%'"),
        ] {
            let names = format!(
                "INSERT INTO {table} (pipeline, name, seen_at) SELECT DISTINCT pipeline, {name}, bucket_start \
                 FROM quality_rollups WHERE pipeline = $1 AND source = '' AND bucket = 'day' AND basis IN {BASES} \
                 AND bucket_start >= $2 AND bucket_start < $3 AND {condition} \
                 ON CONFLICT (pipeline, name) DO UPDATE SET seen_at = excluded.seen_at \
                 WHERE {table}.seen_at < excluded.seen_at"
            );
            self.execute(names, day, tomorrow).await?;
        }
        Ok(made)
    }

    async fn execute(&self, sql: String, from: Timestamp, to: Timestamp) -> Result<u64, DbErr> {
        let done = self.transaction.execute_raw(self.statement(sql, [from.into(), to.into()])).await?;
        Ok(done.rows_affected())
    }

    fn statement(&self, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
        let pipeline: Value = self.pipeline.as_str().into();
        let backend = self.transaction.get_database_backend();
        Statement::from_sql_and_values(backend, sql, [pipeline].into_iter().chain(values))
    }
}

/// `FROM` the roll-ups of a time range, found by index source by source, so that roll-ups outside of the range cost
/// nothing.
fn from_rollups(bucket: &str, backend: DbBackend) -> String {
    let sources = "(SELECT '' AS key UNION ALL SELECT key FROM sources WHERE pipeline = $1) AS s";
    let of_source = format!(
        "r.pipeline = $1 AND r.source = s.key AND r.bucket = '{bucket}' AND r.basis IN {BASES} \
         AND r.bucket_start >= $2 AND r.bucket_start < $3"
    );
    match backend {
        // OFFSET keeps the planner from reading all roll-ups of the pipeline.
        DbBackend::Postgres => format!(
            "FROM {sources} CROSS JOIN LATERAL \
             (SELECT r.ctid AS place, r.* FROM quality_rollups AS r WHERE {of_source} OFFSET 0) AS r"
        ),
        _ => format!("FROM {sources} CROSS JOIN quality_rollups AS r WHERE {of_source}"),
    }
}

fn delete_rollups(bucket: &str, backend: DbBackend) -> String {
    let found = from_rollups(bucket, backend);
    match backend {
        DbBackend::Postgres => {
            format!("DELETE FROM quality_rollups WHERE ctid = ANY (ARRAY(SELECT r.place {found}))")
        }
        _ => format!(
            "DELETE FROM quality_rollups WHERE (pipeline, source, bucket, basis, bucket_start, series) IN \
             (SELECT r.pipeline, r.source, r.bucket, r.basis, r.bucket_start, r.series {found})"
        ),
    }
}

/// The hours of each source and of the pipeline: its own rows, and the sums of its sources.
fn hours_of_rows(backend: DbBackend) -> String {
    let check = |name: &str, attempts: &str, passes: &str| {
        format!(
            "SELECT COALESCE(source, '') AS source, CASE WHEN metric_type = 'hourly' AND source IS NOT NULL \
             THEN 'hourly-of-sources' ELSE metric_type END AS basis, {} AS hour, '{name}' AS series, \
             {attempts} AS total, {passes} AS passes FROM data_quality_metrics \
             WHERE pipeline = $1 AND timestamp >= $2 AND timestamp < $3 AND {attempts} > 0 \
             AND NOT (metric_type = 'hourly' AND digest IS NULL)",
            start_of("hour", "timestamp", backend)
        )
    };
    let volume = |name: &str, column: &str| {
        format!(
            "SELECT source, 'source-specific', {}, '{name}', {column}, 0 FROM source_runs \
             WHERE pipeline = $1 AND finished_at >= $2 AND finished_at < $3 AND ({column} > 0 OR {column} = 0 AND state = 'ok')",
            start_of("hour", "finished_at", backend)
        )
    };
    let rows = [
        check("geocoding", "geocoding_attempts", "geocoding_successes"),
        check("validation", "validation_attempts", "validation_passes"),
        format!(
            "SELECT COALESCE(m.source, ''), CASE WHEN m.metric_type = 'hourly' AND m.source IS NOT NULL \
             THEN 'hourly-of-sources' ELSE m.metric_type END, {}, c.name, c.attempts, c.passes \
             FROM metric_checks AS c JOIN data_quality_metrics AS m ON m.id = c.metric_id \
             WHERE c.pipeline = $1 AND c.timestamp >= $2 AND c.timestamp < $3 AND c.attempts > 0 \
             AND NOT (m.metric_type = 'hourly' AND m.digest IS NULL)",
            start_of("hour", "c.timestamp", backend)
        ),
        volume("articles", "articles_collected"),
        volume("events", "events_extracted"),
        named_counts_of_runs(backend),
        named_counts_of_metrics(backend),
    ]
    .join(" UNION ALL ");
    let (total, passes) = (capped_sum("total", backend), capped_sum("passes", backend));
    let sums = format!("hour, series, COUNT(*), {total}, {passes} FROM counted");
    format!(
        "INSERT INTO quality_rollups {COLUMNS} WITH counted AS MATERIALIZED ({rows}) \
         SELECT CAST($1 AS varchar), source, 'hour', basis, {sums} GROUP BY source, basis, hour, series UNION ALL \
         SELECT CAST($1 AS varchar), '', 'hour', basis, {sums} WHERE source <> '' GROUP BY basis, hour, series"
    )
}

/// The days of each source and of the pipeline, from their hours.
fn days_of_hours(backend: DbBackend) -> String {
    let day = start_of("day", "r.bucket_start", backend);
    format!(
        "INSERT INTO quality_rollups {COLUMNS} \
         SELECT r.pipeline, r.source, 'day', r.basis, {day}, r.series, SUM(r.runs), {}, {} \
         {} GROUP BY r.pipeline, r.source, r.basis, {day}, r.series",
        capped_sum("r.total", backend),
        capped_sum("r.passes", backend),
        from_rollups("hour", backend)
    )
}

/// The rows of the named counts of source runs.
fn named_counts_of_runs(backend: DbBackend) -> String {
    let (each, name, value) = each_count("r.counts", backend);
    format!(
        "SELECT r.source, 'source-specific', {}, 'counts.' || {name}, {value}, 0 FROM source_runs AS r, {each} \
         WHERE r.pipeline = $1 AND r.finished_at >= $2 AND r.finished_at < $3 AND r.counts IS NOT NULL \
         AND ({value} > 0 OR r.state = 'ok')",
        start_of("hour", "r.finished_at", backend)
    )
}

/// The rows of the named counts of reported metrics.
fn named_counts_of_metrics(backend: DbBackend) -> String {
    let (each, name, value) = each_count("m.counts", backend);
    format!(
        "SELECT COALESCE(m.source, ''), CASE WHEN m.metric_type = 'hourly' AND m.source IS NOT NULL \
         THEN 'hourly-of-sources' ELSE m.metric_type END, {}, \
         CASE WHEN {name} IN ('articles', 'events') THEN {name} ELSE 'counts.' || {name} END, {value}, 0 \
         FROM data_quality_metrics AS m, {each} \
         WHERE m.pipeline = $1 AND m.timestamp >= $2 AND m.timestamp < $3 AND m.counts IS NOT NULL",
        start_of("hour", "m.timestamp", backend)
    )
}

/// The start of the hour or day of a timestamp, in the server's format.
fn start_of(bucket: &str, column: &str, backend: DbBackend) -> String {
    match (backend, bucket) {
        (DbBackend::Postgres, _) => format!("date_trunc('{bucket}', {column}, 'UTC')"),
        (_, "hour") => format!("substr({column}, 1, 13) || ':00:00+00:00'"),
        _ => format!("substr({column}, 1, 10) || 'T00:00:00+00:00'"),
    }
}
