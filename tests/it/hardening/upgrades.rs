//! Migrations: killed, concurrent with reports, of other versions.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use pipewatch::clock::Clock;
use pipewatch::config::Flags;
use pipewatch::store::{MigrateTo, Store};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::hardening::maintenance::{RUNS, all_rollups, history};
use crate::support::honest_clients::is_soak;
use crate::support::server::{Process, answer, program};
use crate::support::timed_store::lines;
use crate::support::{ALLOWANCE, DEADLINE, Database, Server, eventually, in_time, run};

on_both_databases! {
    killed_migrations_and_rebuilds_complete_at_the_next_start,
    reporters_do_not_wait_for_data_moves,
    schema_of_another_version_is_refused,
    probes_are_answered_during_a_migration,
}

fn pipewatch(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().expect("the program");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Rolls back migrations up to and including this one.
async fn roll_back(database: &Database, migration: &str) {
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    while store.migrations().await.expect("steps").iter().any(|step| step.applied && step.name.contains(migration)) {
        store.migrate(MigrateTo::Down(1)).await.expect("down");
    }
    store.close().await.expect("closed");
}

async fn killed_migrations_and_rebuilds_complete_at_the_next_start(database: Database) {
    let expect = history(&database).await;
    assert!(expect.iter().all(|rollups| rollups.len() > 1_000));
    roll_back(&database, "m0007").await;
    let folder = tempfile::tempdir().expect("a folder");
    // Each attempt runs a little longer, so that every part of the work is killed once.
    let (mut patience, mut kills) = (Duration::from_millis(30), 0);
    loop {
        let mut child = program(folder.path())
            .args(["migrate", "--database-url", &database.url, "up"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        let deadline = Instant::now() + patience;
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ended = child.try_wait().expect("a status");
        }
        if let Some(status) = ended {
            assert!(status.success(), "an attempt after {kills} kills completes");
            break;
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        kills += 1;
        patience = patience.mul_f64(1.3);
        assert!(patience < DEADLINE, "it makes progress");
        // The server continues the rest in the background.
        if kills == 8 {
            break;
        }
    }
    assert!(kills > 1, "some attempts were killed");
    let server = Server::start(database).await;
    eventually("the history is complete", || async { (all_rollups(&server.database).await == expect).then_some(()) })
        .await;
    eventually("no rebuild is left", || async {
        lines(&server.database, "SELECT pipeline FROM rollup_rebuilds").await.is_empty().then_some(())
    })
    .await;
    server.stop().await;
}

/// Inserts metrics with a check each, and as many daily roll-ups.
async fn insert_checks(database: &Database, rows: u32) {
    let (numbers, id, day) = if database.is_postgres() {
        (
            format!("SELECT i FROM generate_series(1, {rows}) AS n(i)"),
            "CAST(lpad(i::text, 32, '0') AS uuid)",
            "TIMESTAMPTZ '2020-01-01' + make_interval(days => i)",
        )
    } else {
        (
            format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n"),
            "CAST(printf('%016d', i) AS blob)",
            "strftime('%Y-%m-%dT%H:%M:%S+00:00', '2020-01-01', '+' || i || ' days')",
        )
    };
    for sql in [
        format!(
            "INSERT INTO data_quality_metrics (id, pipeline, timestamp, metric_type, status, geocoding_attempts, \
             geocoding_successes, geocoding_success_rate, validation_attempts, validation_passes, validation_pass_rate) \
             SELECT {id}, 'default', {day}, 'aggregate', 'healthy', 1, 1, 1, 1, 1, 1 FROM ({numbers}) AS n"
        ),
        format!(
            "INSERT INTO metric_checks (metric_id, name, attempts, passes) SELECT {id}, 'deduplication', 1, 1 \
             FROM ({numbers}) AS n"
        ),
        format!(
            "INSERT INTO quality_rollups (pipeline, source, bucket, basis, bucket_start, series, runs, total, passes) \
             SELECT 'default', '', 'day', 'aggregate', {day}, 'deduplication', 1, 1, 1 FROM ({numbers}) AS n"
        ),
    ] {
        database.execute(&sql).await;
    }
}

/// Reports like a server of an earlier version: it locks the pipeline, and writes a metric with a check. Returns the
/// longest duration.
async fn report_until(database: &Database, end: &CancellationToken) -> Duration {
    let id = if database.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let metric = format!(
        "INSERT INTO data_quality_metrics (id, pipeline, timestamp, metric_type, status, geocoding_attempts, \
         geocoding_successes, geocoding_success_rate, validation_attempts, validation_passes, validation_pass_rate) \
         VALUES ({id}, 'default', CURRENT_TIMESTAMP, 'aggregate', 'healthy', 1, 1, 1, 1, 1, 1)"
    );
    let check = "INSERT INTO metric_checks (metric_id, name, attempts, passes) \
                 SELECT id, 'other', 1, 1 FROM data_quality_metrics ORDER BY id DESC LIMIT 1 ON CONFLICT DO NOTHING";
    let connection = database.connect().await;
    let mut longest = Duration::ZERO;
    while !end.is_cancelled() {
        let begun = Instant::now();
        let transaction = connection.begin().await.expect("a transaction");
        for sql in ["UPDATE pipelines SET revision = revision + 1 WHERE key = 'default'", &metric, check] {
            transaction.execute_unprepared(sql).await.expect("valid SQL");
        }
        transaction.commit().await.expect("committed");
        longest = longest.max(begun.elapsed());
        // The pause between two reports of one reporter.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.close().await.expect("closed");
    longest
}

async fn reporters_do_not_wait_for_data_moves(database: Database) {
    let (rows, limit) = if is_soak() { (200_000, Duration::from_secs(1)) } else { (20_000, ALLOWANCE) };
    let database = Server::start(database).await.stop().await;
    roll_back(&database, "m0013").await;
    insert_checks(&database, rows).await;
    let (begun, end) = (Instant::now(), CancellationToken::new());
    let migration = async {
        let store = Store::open(&database.url, Clock::system()).await.expect("open");
        store.migrate(MigrateTo::Up(None)).await.expect("up");
        end.cancel();
        store.close().await.expect("closed");
    };
    // A SQLite file belongs to the server that migrates it.
    if database.is_postgres() {
        let (longest, ()) = tokio::join!(report_until(&database, &end), migration);
        println!("migrations of {rows} rows took {:?}, the longest report {longest:?}", begun.elapsed());
        assert!(longest < limit, "{longest:?}");
    } else {
        migration.await;
        println!("migrations of {rows} rows took {:?}", begun.elapsed());
    }
    let filled = "SELECT CAST(COUNT(*) AS varchar) FROM metric_checks WHERE pipeline = 'default' AND metric_type = \
                  'aggregate' AND timestamp IS NOT NULL AND name = 'deduplication'";
    assert_eq!(lines(&database, filled).await, [rows.to_string()]);
    let listed = "SELECT name FROM pipeline_checks WHERE name = 'deduplication'";
    assert_eq!(lines(&database, listed).await, ["deduplication"]);
}

async fn schema_of_another_version_is_refused(database: Database) {
    drop(Server::start(Database::existing(database.url.clone())).await.stop().await);
    let folder = tempfile::tempdir().expect("a folder");
    let url = ["--database-url", &database.url];
    let serve =
        |flags: &[&str]| pipewatch(folder.path(), &[&["serve", "--listen", "127.0.0.1:0"][..], &url, flags].concat());
    let migrate = |action: &str| pipewatch(folder.path(), &[&["migrate"][..], &url, &[action]].concat());
    let rebuild = || pipewatch(folder.path(), &[&["rollups"][..], &url, &["rebuild"]].concat());

    database.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)").await;
    for (code, said) in [serve(&[]), serve(&["--no-migrate"]), migrate("up"), migrate("down"), rebuild()] {
        assert_eq!(code, Some(1), "{said}");
        for part in ["newer than this program", "m9999_future", "run the newer version"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let (code, said) = migrate("status");
    assert!(code == Some(0) && said.contains("unknown  m9999_future") && !said.contains("pending"), "{said}");

    database.execute("DELETE FROM seaql_migrations WHERE version = 'm9999_future'").await;
    drop(Process::serve(folder.path(), &database.url, &["--no-migrate"]));
    assert_eq!(migrate("down").0, Some(0));
    for (code, said) in [serve(&["--no-migrate"]), rebuild()] {
        assert_eq!(code, Some(1), "{said}");
        for part in ["older than this program", "1 migrations are pending", "run `pipewatch migrate up`"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    drop(Process::serve(folder.path(), &database.url, &[]));
    assert!(!migrate("status").1.contains("pending"));
}

/// Blocks migrations, like another server that migrates.
async fn hold_migrations(database: &Database) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&database.url);
    options.max_connections(1).min_connections(1);
    let connection = sea_orm::Database::connect(options).await.expect("a connection");
    let lock = if database.is_postgres() { "SELECT pg_advisory_lock(7047478391)" } else { "BEGIN IMMEDIATE" };
    connection.execute_unprepared(lock).await.expect("the lock");
    connection
}

async fn probes_are_answered_during_a_migration(database: Database) {
    let database = Server::start(database).await.stop().await;
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    store.migrate(MigrateTo::Down(1)).await.expect("down");
    store.close().await.expect("closed");

    // A server that is stopped meanwhile ends; the next one migrates.
    let held = hold_migrations(&database).await;
    let (server, _) = Server::begin(database, Flags::default(), Utc::now(), TimeDelta::zero()).await;
    eventually("a probe", || async { (answer(server.get("/api/health/live")).await.0 == 200).then_some(()) }).await;
    let database = server.stop().await;

    let (server, is_serving) = Server::begin(database, Flags::default(), Utc::now(), TimeDelta::zero()).await;
    eventually("it migrates", || async {
        (answer(server.get("/api/health/ready")).await == (503, json!({"status": "migrating"}))).then_some(())
    })
    .await;
    assert_eq!(answer(server.get("/api/health/live")).await, (200, json!({"status": "live"})));
    assert_eq!(answer(server.get("/api/health")).await.0, 503);
    let report = server.post(RUNS).json(&run("a")).send();
    let report = in_time("an answer", report).await.expect("an answer");
    assert_eq!((report.status().as_u16(), &report.headers()["retry-after"]), (503, &"5".parse().expect("a value")));
    let problem: Value = report.json().await.expect("JSON");
    assert_eq!(problem["code"], "MIGRATING");

    held.close().await.expect("closed");
    in_time("the server serves", is_serving).await.expect("it serves");
    assert_eq!(answer(server.get("/api/health/ready")).await, (200, json!({"status": "ready"})));
    server.store_runs(RUNS, &[run("a")]).await;
    server.stop().await;
}
