use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::database::{Databases, Kind};
use crate::reporter::Reporter;
use crate::sample::Sample;
use crate::server::{Program, Server};
use crate::{Result, progress, thousands};

/// Reports of one batch.
const BATCH: usize = 500;
/// Connections that report one by one.
const CONNECTIONS: usize = 64;
/// How long one round may take.
const ROUND_TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Source runs that are reported in one round of ingest
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    reports: u16,
    /// Rounds of ingest, each with a fresh database
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// How reports come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Many in a request, from one connection.
    Batches,
    /// One report per request, from many connections.
    Singles,
}

/// What one round came to.
struct Round {
    reports_per_second: f64,
    latency: Sample,
}

/// Runs the rounds of all variants alternately, so that other load on the machine affects all alike.
pub(crate) async fn measure(options: &Options, program: &Program, databases: &mut Databases) -> Result<String> {
    let arms: Vec<(Kind, Shape)> =
        Kind::ALL.into_iter().flat_map(|kind| [(kind, Shape::Batches), (kind, Shape::Singles)]).collect();
    let mut rounds: Vec<Vec<Round>> = arms.iter().map(|_| Vec::new()).collect();
    for number in 1..=options.rounds {
        for ((kind, shape), rounds) in arms.iter().zip(&mut rounds) {
            let round = round(options, *kind, *shape, program, databases).await?;
            progress(&format!(
                "ingest round {number}, {kind}, {shape:?}: {} reports/s",
                thousands(round.reports_per_second)
            ));
            rounds.push(round);
        }
    }
    table(options, &arms, &rounds)
}

async fn round(
    options: &Options,
    kind: Kind,
    shape: Shape,
    program: &Program,
    databases: &mut Databases,
) -> Result<Round> {
    let database = databases.fresh(kind).await?;
    let server = program.serve(&database, databases.folder()).await?;
    let runs: Vec<Value> = source_runs(options.reports).collect();
    let bodies = match shape {
        Shape::Batches => runs.chunks(BATCH).map(|runs| Bytes::from(json!(runs).to_string())).collect(),
        Shape::Singles => runs.iter().map(|run| Bytes::from(run.to_string())).collect(),
    };
    let connections = match shape {
        Shape::Batches => 1,
        Shape::Singles => CONNECTIONS,
    };
    let round = timeout(ROUND_TIMEOUT, post(&server, bodies, connections, options.reports)).await??;
    server.stop().await?;
    // The server may have written closed hours, too.
    for table in ["source_runs", "data_quality_metrics WHERE metric_type = 'source-specific'"] {
        let stored = database.count(table).await?;
        if stored != i64::from(options.reports) {
            return Err(format!("{stored} rows are in {table} after {} reports", options.reports).into());
        }
    }
    Ok(round)
}

/// Spreads the bodies over the connections; each takes the next body when its last is answered.
async fn post(server: &Server, bodies: Vec<Bytes>, connections: usize, reports: u16) -> Result<Round> {
    let mut reporters = Vec::with_capacity(connections);
    for _ in 0..connections {
        reporters.push(Reporter::connect(&server.address).await?);
    }
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(bodies.len())));
    let bodies = Rc::new(RefCell::new(bodies.into_iter()));
    let local = LocalSet::new();
    let begin = Instant::now();
    let tasks: Vec<_> = reporters
        .into_iter()
        .map(|mut reporter| {
            let (bodies, latencies) = (Rc::clone(&bodies), Rc::clone(&latencies));
            local.spawn_local(async move {
                loop {
                    // Taken in a statement of its own: the borrow must not last across the await.
                    let body = bodies.borrow_mut().next();
                    let Some(body) = body else { return Ok(()) };
                    let latency = reporter.report(body).await?;
                    latencies.borrow_mut().push(latency);
                }
            })
        })
        .collect();
    let outcomes = local.run_until(async {
        let mut outcomes: Vec<Result<()>> = Vec::with_capacity(tasks.len());
        for task in tasks {
            outcomes.push(task.await.unwrap_or_else(|error| Err(error.into())));
        }
        outcomes
    });
    let outcomes = outcomes.await;
    let elapsed = begin.elapsed();
    outcomes.into_iter().collect::<Result<()>>()?;
    let latency = Sample::of_times(latencies.take()).ok_or("there was nothing to report")?;
    Ok(Round { reports_per_second: f64::from(reports) / elapsed.as_secs_f64(), latency })
}

/// Source runs of 20 sources within the last hour, each with the id that a careful reporter gives it and with quality
/// counts: the server writes two rows for each.
pub(crate) fn source_runs(number: u16) -> impl Iterator<Item = Value> {
    let now: DateTime<Utc> = Utc::now();
    (0..number).map(move |index| {
        let finished = now - TimeDelta::milliseconds(360 * i64::from(index % 10_000));
        let (attempts, failures) = (20 + index % 30, index % 4);
        json!({
            "id": Uuid::new_v4(),
            "source": format!("source-{:02}", index % 20),
            "timestamp": finished.to_rfc3339_opts(SecondsFormat::Micros, true),
            "articles_collected": 50 + index % 50,
            "events_extracted": attempts,
            "geocoding_attempts": attempts,
            "geocoding_successes": attempts - failures,
            "validation_attempts": attempts,
            "validation_passes": attempts - failures / 2,
        })
    })
}

fn table(options: &Options, arms: &[(Kind, Shape)], rounds: &[Vec<Round>]) -> Result<String> {
    let mut table = format!(
        "Ingest of {} source runs (median of {} rounds, each with a fresh database; every report has an id and quality \
         counts, and is on the disk when it is answered):\n\n\
         | database | how they come | reports/s | slowest – fastest round | request p50 | request p99 |\n\
         | --- | --- | ---: | ---: | ---: | ---: |",
        thousands(f64::from(options.reports)),
        options.rounds,
    );
    for ((kind, shape), rounds) in arms.iter().zip(rounds) {
        let of = |read: fn(&Round) -> f64| Sample::of(rounds.iter().map(read)).ok_or("no round was measured");
        let (rate, p50, p99) = (
            of(|round| round.reports_per_second)?,
            of(|round| round.latency.median())?,
            of(|round| round.latency.p99())?,
        );
        let shape = match shape {
            Shape::Batches => format!("batches of {BATCH}, 1 connection"),
            Shape::Singles => format!("one by one, {CONNECTIONS} connections"),
        };
        write!(
            table,
            "\n| {kind} | {shape} | {} | {} – {} | {:.1} ms | {:.1} ms |",
            thousands(rate.median()),
            thousands(rate.least()),
            thousands(rate.most()),
            p50.median(),
            p99.median(),
        )?;
    }
    Ok(table)
}
