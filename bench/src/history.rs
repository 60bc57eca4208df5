use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tokio::time::timeout;

use crate::Result;
use crate::database::{Database, Kind};

/// Rows of each table within the window of a status.
pub(crate) const IN_WINDOW: u32 = 1_000;
/// Sources that the rows belong to, in turn.
pub(crate) const SOURCES: u32 = 20;
/// Rows of one statement; a larger one would fill the disk with its log.
const ROWS: u32 = 500_000;
/// How long one statement may take.
const QUERY_TIMEOUT: Duration = Duration::from_mins(20);

/// Rows in the order of their times, evenly spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    rows: u32,
    /// The time of the first, in Unix microseconds.
    begin: i64,
    /// From one to the next, in microseconds.
    step: i64,
}

/// Writes this number of rows to `source_runs` and to `data_quality_metrics` each: [`IN_WINDOW`] of them in the 23
/// hours before `now`, the others over the year before the last 24 hours. The schema must exist, with the pipeline
/// `default`.
pub(crate) async fn fill(database: &Database, rows: u32, now: DateTime<Utc>) -> Result<()> {
    let connection = database.connect().await?;
    run(&connection, &sources(now)).await?;
    for stretch in stretches(rows, now) {
        run(&connection, &source_runs(database.kind, stretch)).await?;
        run(&connection, &metrics(database.kind, stretch)).await?;
    }
    run(&connection, CHECKS).await?;
    match database.kind {
        // As after a while of service: the log is in the database. No ANALYZE, for the server runs none.
        Kind::Sqlite => run(&connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?,
        // As autovacuum leaves it.
        Kind::Postgres => run(&connection, "VACUUM ANALYZE").await?,
    }
    Ok(connection.close().await?)
}

async fn run(connection: &DatabaseConnection, sql: &str) -> Result<()> {
    timeout(QUERY_TIMEOUT, connection.execute_unprepared(sql)).await??;
    Ok(())
}

/// The history and then the window, cut into statements.
fn stretches(rows: u32, now: DateTime<Utc>) -> Vec<Stretch> {
    let even = |rows: u32, begin: DateTime<Utc>, span: TimeDelta| Stretch {
        rows,
        begin: begin.timestamp_micros(),
        step: span.num_microseconds().unwrap_or(i64::MAX) / i64::from(rows.max(1)),
    };
    let old = even(rows.saturating_sub(IN_WINDOW), now - TimeDelta::days(366), TimeDelta::days(365));
    let new = even(IN_WINDOW, now - TimeDelta::hours(23), TimeDelta::hours(23));
    let cut = |whole: Stretch| {
        (0..whole.rows.div_ceil(ROWS)).map(move |part| {
            let before = part * ROWS;
            let begin = whole.begin + whole.step * i64::from(before);
            Stretch { rows: ROWS.min(whole.rows - before), begin, ..whole }
        })
    };
    cut(old).chain(cut(new)).collect()
}

fn sources(now: DateTime<Utc>) -> String {
    let last_run = now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00");
    let row = |index| format!("('default', 'source-{index}', true, '{last_run}', 'ok')");
    let rows: Vec<String> = (0..SOURCES).map(row).collect();
    format!("INSERT INTO sources (pipeline, key, enabled, last_run_at, last_run_state) VALUES {}", rows.join(", "))
}

fn source_runs(kind: Kind, stretch: Stretch) -> String {
    let Words { series, id, instant, digest } = words(kind, stretch);
    format!(
        "{series} INSERT INTO source_runs (id, pipeline, source, state, finished_at, received_at, backfill, \
         articles_collected, events_extracted, geocoding_attempts, geocoding_successes, validation_attempts, \
         validation_passes, end_digest) \
         SELECT {id}, 'default', 'source-' || (i % {SOURCES}), CASE WHEN i % 50 = 7 THEN 'failed' ELSE 'ok' END, \
         {instant}, {instant}, false, 50 + i % 50, 20 + i % 30, 20 + i % 30, 20 + i % 30 - i % 4, 20 + i % 30, \
         20 + i % 30 - i % 3, {digest} FROM series"
    )
}

/// Aggregates carry a further check.
const CHECKS: &str = "INSERT INTO metric_checks \
     (metric_id, name, attempts, passes, pipeline, timestamp, metric_type, of_sources) \
     SELECT id, 'deduplication', 40, 39, pipeline, timestamp, metric_type, source IS NOT NULL FROM data_quality_metrics WHERE metric_type = 'aggregate'";

/// As source runs write them, and every tenth one an aggregate.
fn metrics(kind: Kind, stretch: Stretch) -> String {
    let Words { series, id, instant, .. } = words(kind, stretch);
    format!(
        "{series} INSERT INTO data_quality_metrics (id, pipeline, timestamp, geocoding_attempts, geocoding_successes, \
         geocoding_success_rate, validation_attempts, validation_passes, validation_pass_rate, metric_type, source, \
         status) \
         SELECT {id}, 'default', {instant}, 20 + i % 30, 20 + i % 30 - i % 4, \
         100.0 * (20 + i % 30 - i % 4) / (20 + i % 30), 20 + i % 30, 20 + i % 30 - i % 3, \
         100.0 * (20 + i % 30 - i % 3) / (20 + i % 30), \
         CASE WHEN i % 10 = 3 THEN 'aggregate' ELSE 'source-specific' END, \
         CASE WHEN i % 10 = 3 THEN NULL ELSE 'source-' || (i % {SOURCES}) END, 'healthy' FROM series"
    )
}

/// What each database has its own words for, as the server would have stored it.
struct Words {
    /// A common table expression: the numbers `i` of the rows, from 0.
    series: String,
    id: &'static str,
    instant: String,
    digest: &'static str,
}

fn words(kind: Kind, Stretch { rows, begin, step }: Stretch) -> Words {
    let micros = format!("({begin} + {step} * i)");
    match kind {
        Kind::Sqlite => Words {
            series: format!(
                "WITH RECURSIVE series(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM series WHERE i + 1 < {rows})"
            ),
            id: "randomblob(16)",
            instant: format!(
                "strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || \
                 printf('.%06d+00:00', {micros} % 1000000)"
            ),
            digest: "randomblob(32)",
        },
        Kind::Postgres => Words {
            series: format!("WITH series AS (SELECT i::bigint FROM generate_series(0, {rows} - 1) AS numbers(i))"),
            id: "gen_random_uuid()",
            instant: format!("timestamptz 'epoch' + {micros} * interval '1 microsecond'"),
            digest: "sha256(i::text::bytea)",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_ends_where_the_window_begins() {
        let now = DateTime::from_timestamp(1_769_614_245, 0).expect("in range");
        let ago = |hours| (now - TimeDelta::hours(hours)).timestamp_micros();
        for (rows, statements) in [(1_000, 1), (10_000, 2), (501_000, 2), (502_000, 3), (5_000_000, 11)] {
            let stretches = stretches(rows, now);
            assert_eq!(stretches.len(), statements, "{rows}");
            assert_eq!(stretches.iter().map(|stretch| stretch.rows).sum::<u32>(), rows);
            let last = |stretch: &Stretch| stretch.begin + stretch.step * i64::from(stretch.rows - 1);
            assert!(stretches.windows(2).all(|pair| last(&pair[0]) < pair[1].begin), "{rows}: {stretches:?}");
            let (window, history) = stretches.split_last().expect("a window");
            assert_eq!((window.rows, window.begin), (IN_WINDOW, ago(23)));
            assert!(last(window) < ago(0) && history.iter().all(|stretch| last(stretch) < ago(24)), "{rows}");
        }
    }
}
