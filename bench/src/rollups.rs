use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use pipewatch::clock::Clock;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::key::SourceKey;
use pipewatch::domain::rollup::{Bucket, Range, Series};
use pipewatch::domain::time::Timestamp;
use pipewatch::store::{MigrateTo, Store};
use tokio::time::timeout;

use crate::database::{Database, Databases, Kind};
use crate::history::SOURCES;
use crate::sample::Sample;
use crate::{Result, progress, thousands};

/// Calls of each question before anything is measured.
const WARM_UP: u32 = 10;
/// How long one call, or filling a database, may take.
const QUERY_TIMEOUT: Duration = Duration::from_mins(10);
/// Hours of the roll-ups: two years.
const HOURS: u32 = 2 * 365 * 24;
/// What the server keeps of each source and of the whole.
const SERIES: [&str; 4] = ["articles", "events", "geocoding", "validation"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measured calls of each question about roll-ups
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    questions: u32,
}

/// The queries.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// A history of many days, of each source.
    History { bucket: Bucket, days: i64, sources: u32 },
    /// A history of many days, of the whole pipeline.
    Whole { bucket: Bucket, days: i64 },
    /// All series of many hours.
    Since { hours: i64 },
}

const QUESTIONS: [(&str, Question); 6] = [
    ("DAY over a year, the whole pipeline", Question::Whole { bucket: Bucket::Day, days: 365 }),
    ("DAY over a year, one source", Question::History { bucket: Bucket::Day, days: 365, sources: 1 }),
    ("DAY over a year, each of 20 sources", Question::History { bucket: Bucket::Day, days: 365, sources: SOURCES }),
    ("HOUR over 31 days, one source", Question::History { bucket: Bucket::Hour, days: 31, sources: 1 }),
    ("HOUR over 416 days, the whole pipeline", Question::Whole { bucket: Bucket::Hour, days: 416 }),
    ("all series of 28 hours", Question::Since { hours: 28 }),
];

pub(crate) async fn measure(options: &Options, databases: &mut Databases) -> Result<String> {
    let mut table = format!(
        "Histories from the roll-ups of {SOURCES} sources over two years ({} calls of each; target: 20 ms):\n\n\
         | database | question | points | median | p99 |\n\
         | --- | --- | ---: | ---: | ---: |",
        options.questions
    );
    let now = Clock::system().now();
    for kind in Kind::ALL {
        let store = filled(databases.fresh(kind).await?, now).await?;
        for (name, question) in QUESTIONS {
            let mut times = Vec::new();
            let mut points = 0;
            for call in 0..WARM_UP + options.questions {
                let begin = Instant::now();
                points = timeout(QUERY_TIMEOUT, question.ask(&store, now)).await??;
                if call >= WARM_UP {
                    times.push(begin.elapsed());
                }
            }
            let times = Sample::of_times(times).ok_or("no call was measured")?;
            write!(
                table,
                "\n| {kind} | {name} | {} | {:.2} ms | {:.2} ms |",
                thousands(f64::from(points)),
                times.median(),
                times.p99(),
            )?;
        }
        store.close().await?;
    }
    Ok(table)
}

impl Question {
    /// The number of points of the answer.
    async fn ask(self, store: &Store, now: Timestamp) -> Result<u32> {
        let pipeline = PipelineKey::default();
        let series: Series = Series::GEOCODING.parse()?;
        let range = |bucket, days| Range::new(bucket, now - TimeDelta::days(days) + TimeDelta::hours(1), now);
        let mut points = 0;
        match self {
            Self::Whole { bucket, days } => {
                let range = range(bucket, days)?;
                points += store.quality_history(&pipeline, None, &series, &range).await?.points.len();
            }
            Self::History { bucket, days, sources } => {
                let range = range(bucket, days)?;
                for index in 0..sources {
                    let source: SourceKey = format!("source-{index}").parse()?;
                    points += store.quality_history(&pipeline, Some(&source), &series, &range).await?.points.len();
                }
            }
            Self::Since { hours } => {
                let all = store.hourly_series(&pipeline, now - TimeDelta::hours(hours)).await?;
                points += all.iter().map(|series| series.hours.len()).sum::<usize>();
            }
        }
        if points == 0 { Err(format!("{self:?} found nothing").into()) } else { Ok(u32::try_from(points)?) }
    }
}

/// Two years of each source and of the whole, in the order in which a server would have written them.
async fn filled(database: Database, now: DateTime<Utc>) -> Result<Store> {
    let store = Store::open(&database.url, Clock::system()).await?;
    store.migrate(MigrateTo::Up(None)).await?;
    store.prepare().await?;
    let begin = Instant::now();
    let connection = database.connect().await?;
    let mut statements = vec![sources()];
    for (bucket, length, buckets) in [(Bucket::Hour, 3_600, HOURS), (Bucket::Day, 86_400, HOURS / 24)] {
        let last = bucket.start_of(now).timestamp();
        statements.push(rollups(database.kind, bucket, last - i64::from(buckets - 1) * length, length, buckets));
    }
    statements.push(match database.kind {
        Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        Kind::Postgres => "VACUUM ANALYZE".to_owned(),
    });
    for sql in statements {
        use sea_orm::ConnectionTrait as _;
        timeout(QUERY_TIMEOUT, connection.execute_unprepared(&sql)).await??;
    }
    connection.close().await?;
    let rows = database.count("quality_rollups").await?;
    progress(&format!("rollups, {}: {rows} rows in {:.0} s", database.kind, begin.elapsed().as_secs_f64()));
    Ok(store)
}

fn sources() -> String {
    let rows: Vec<String> = (0..SOURCES).map(|index| format!("('default', 'source-{index}', true)")).collect();
    format!("INSERT INTO sources (pipeline, key, enabled) VALUES {}", rows.join(", "))
}

fn rollups(kind: Kind, bucket: Bucket, first: i64, length: i64, buckets: u32) -> String {
    let last = buckets - 1;
    let (numbers, start) = match kind {
        Kind::Sqlite => (
            "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < LAST)",
            "strftime('%Y-%m-%dT%H:%M:%S+00:00', FIRST + LENGTH * i, 'unixepoch')",
        ),
        Kind::Postgres => (
            "WITH numbers AS (SELECT i::bigint FROM generate_series(0, LAST) AS numbers(i))",
            "to_timestamp(FIRST + LENGTH * i)",
        ),
    };
    let numbers = numbers.replace("LAST", &last.to_string());
    let start = start.replace("FIRST", &first.to_string()).replace("LENGTH", &length.to_string());
    let series: Vec<String> = SERIES.iter().map(|name| format!("SELECT '{name}' AS name")).collect();
    let bucket = bucket.as_str();
    format!(
        "{numbers} INSERT INTO quality_rollups \
         (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
         SELECT 'default', s.key, '{bucket}', 'source-specific', {start}, series.name, 4, 100 + i % 50, 90 + i % 10 \
         FROM numbers CROSS JOIN (SELECT '' AS key UNION ALL SELECT key FROM sources) AS s \
         CROSS JOIN ({}) AS series ORDER BY i",
        series.join(" UNION ALL ")
    )
}
