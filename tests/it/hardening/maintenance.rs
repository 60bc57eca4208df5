use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use pipewatch::clock::Clock;
use pipewatch::config::Flags;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::ReportKind;
use pipewatch::store::retention::Retention;
use pipewatch::store::{MigrateTo, Store};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::bulk::insert_runs;
use crate::support::honest_clients::{HonestClients, is_soak};
use crate::support::server::{Process, answer, client, program};
use crate::support::timed_store::{TimedStore, lines, rollups};
use crate::support::{ALLOWANCE, DEADLINE, Database, Server, eventually, in_time, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";
const PIPELINES: [&str; 3] = ["default", "news", "other"];

on_both_databases! {
    killed_migrations_and_rebuilds_complete_at_the_next_start,
    rebuild_includes_concurrent_reports,
    reporters_do_not_wait_for_a_rebuild,
    reporters_do_not_wait_for_data_moves,
    rows_that_a_rebuild_needs_are_not_pruned,
    schema_of_another_version_is_refused,
    probes_are_answered_during_a_migration,
    report_sent_again_after_pruning_is_a_duplicate,
    removed_history_can_be_imported_again,
}

fn pipewatch(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().expect("the program");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Some weeks of history in three pipelines, most of it in two large days.
async fn history(database: &Database) -> Vec<Vec<String>> {
    let now = Utc::now().to_rfc3339();
    let fixture = TimedStore::open(database, &now).await;
    for pipeline in PIPELINES {
        let report = |number: i64| {
            let age = if number < 200 { TimeDelta::hours(number * 5) } else { TimeDelta::minutes(number) };
            let timestamp = (Utc::now() - age).to_rfc3339();
            let change = json!({"pipeline": pipeline, "timestamp": timestamp,
                "checks": [{"name": "deduplication", "attempts": 40, "passes": 39}]});
            (ReportKind::SourceRun, with(run(if number % 2 == 0 { "a" } else { "b" }), change))
        };
        let aggregate = |day: i64| {
            let timestamp = (Utc::now() - TimeDelta::days(day)).to_rfc3339();
            let metric = json!({"pipeline": pipeline, "timestamp": timestamp, "metric_type": "aggregate",
                "geocoding_attempts": 7, "geocoding_successes": 6});
            (ReportKind::DataQuality, metric)
        };
        fixture.record(&(0..1_500).map(report).collect::<Vec<_>>()).await;
        fixture.record(&(0..30).map(aggregate).collect::<Vec<_>>()).await;
    }
    fixture.close().await;
    all_rollups(database).await
}

async fn all_rollups(database: &Database) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for pipeline in PIPELINES {
        all.push(rollups(database, pipeline).await);
    }
    all
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

async fn rebuild_includes_concurrent_reports(database: Database) {
    history(&database).await;
    let server = Server::start(database).await;
    let store = Store::open(&server.database.url, Clock::system()).await.expect("open");
    let pipeline = PipelineKey::default();
    let reports = async {
        for number in 0..40 {
            let timestamp = (Utc::now() - TimeDelta::hours(number * 20)).to_rfc3339();
            server.store_runs(RUNS, &[with(run("c"), json!({"timestamp": timestamp}))]).await;
        }
    };
    // The first rebuild is interrupted, as if its process were killed.
    store.request_rebuild(&pipeline).await.expect("requested");
    let abandoned = tokio::time::timeout(Duration::from_millis(30), store.resume_rebuild(&pipeline, |_| {}));
    let (_, rebuilt, ()) = tokio::join!(abandoned, store.resume_rebuild(&pipeline, |_| {}), reports);
    rebuilt.expect("rebuilt");
    let made = rollups(&server.database, "default").await;
    store.rebuild_rollups(&pipeline).await.expect("rebuilt");
    assert_eq!(rollups(&server.database, "default").await, made);
    assert!(made.iter().any(|row| row.starts_with("c|")));
    store.close().await.expect("closed");
    server.stop().await;
}

async fn reporters_do_not_wait_for_a_rebuild(database: Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Server::start(database).await.stop().await;
    insert_runs(&database, "default", 50, 100_000).await;
    let server = Process::serve(folder.path(), &database.url, &[]);
    let honest = HonestClients::start(&server, None).await;
    let mut rebuild = program(folder.path())
        .args(["rollups", "--database-url", &database.url, "rebuild", "--pipeline", "default"])
        .spawn()
        .expect("the program");
    let (client, mut longest, mut reports) = (client(), Duration::ZERO, 0);
    let status = loop {
        let begun = Instant::now();
        let request = client.post(format!("{}{RUNS}", server.url)).json(&run("s1"));
        let (code, answer) = answer(request).await;
        assert_eq!(code, 201, "{answer}");
        longest = longest.max(begun.elapsed());
        reports += 1;
        if let Some(status) = rebuild.try_wait().expect("a status") {
            break status;
        }
    };
    assert!(status.success());
    println!("{reports} reports to the pipeline in the meantime, the longest in {longest:?}");
    let most = if is_soak() { Duration::from_secs(1) } else { ALLOWANCE };
    assert!(longest < most, "{longest:?}");
    honest.finish(&server).await;
    let runs = "SELECT CAST(SUM(runs) AS varchar) FROM quality_rollups WHERE pipeline = 'default' AND source = '' \
                AND bucket = 'day' AND series = 'articles'";
    assert_eq!(lines(&database, runs).await, [(100_000 + reports).to_string()]);
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

async fn rows_that_a_rebuild_needs_are_not_pruned(database: Database) {
    let pipeline = PipelineKey::default();
    let fixture = TimedStore::open(&database, "2026-03-16T12:00:00Z").await;
    fixture.runs(&[with(run("a"), json!({"timestamp": "2026-03-16T10:00:00Z"}))]).await;
    let before = rollups(&database, "default").await;
    database.execute("DELETE FROM quality_rollups").await;
    fixture.store.request_rebuild(&pipeline).await.expect("requested");
    fixture.set_now("2026-06-15T12:00:00Z");
    assert_eq!(fixture.store.prune(&Retention::default()).await.expect("pruned"), 0);
    assert_eq!(fixture.store.resume_rebuild(&pipeline, |_| {}).await.expect("rebuilt"), before.len() as u64);
    assert_eq!(fixture.store.prune(&Retention::default()).await.expect("pruned"), 2);
    assert_eq!(rollups(&database, "default").await, before);
    fixture.close().await;
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

async fn report_sent_again_after_pruning_is_a_duplicate(database: Database) {
    let server = Server::start(database).await;
    // An imported history, older than the retention from the beginning.
    let at = |days: i64| (Utc::now() - TimeDelta::days(days)).to_rfc3339();
    let id = Uuid::now_v7;
    let (run_id, started, metric_id, whole) = (id(), id(), id(), id());
    let end = with(run("a"), json!({"id": run_id, "timestamp": at(100)}));
    let start = |id: Uuid, days: i64| json!({"id": id, "source": "a", "outcome": "running", "timestamp": at(days)});
    let starts = [start(run_id, 101), start(started, 100)];
    let metric = |id: Uuid, source: Value| {
        json!({"id": id, "metric_type": if source.is_null() { "aggregate" } else { "source-specific" }, "source": source,
            "timestamp": at(100), "geocoding_attempts": 7, "geocoding_successes": 6})
    };
    let metrics = [metric(metric_id, json!("a")), metric(whole, json!(null))];
    let send = async || {
        let mut all = Vec::new();
        for (path, items) in [(RUNS, json!([starts[0].clone(), end.clone()])), (METRICS, json!(metrics))] {
            let (code, answer) = server.report(path, &items).await;
            assert!(code == 200 || code == 201, "{answer}");
            let results = answer["results"].as_array().expect("results").clone();
            all.extend(results.into_iter().map(|result| result["status"].as_str().expect("a status").to_owned()));
        }
        all
    };
    assert_eq!(send().await, ["stored"; 4]);
    assert_eq!(server.report(RUNS, &json!([starts[1]])).await.0, 201);
    let before = rollups(&server.database, "default").await;
    assert!(!before.is_empty());

    let prune = async || {
        let store = Store::open(&server.database.url, Clock::system()).await.expect("open");
        let removed = store.prune(&Retention::default()).await.expect("pruned");
        store.close().await.expect("closed");
        removed
    };
    // The run without an end is pruned by its time of receipt, and stays.
    assert!(prune().await >= 4);
    assert_eq!(send().await, ["duplicate"; 4], "nothing is counted twice");
    assert_eq!(rollups(&server.database, "default").await, before);
    // Another id at the same instant is new.
    server.store_runs(RUNS, &[with(end.clone(), json!({"id": id()}))]).await;
    assert_ne!(rollups(&server.database, "default").await, before);
    let ids = async || lines(&server.database, "SELECT CAST(COUNT(*) AS varchar) FROM pruned_report_ids").await;
    assert_eq!(ids().await, ["4"]);
    // Digests are kept for the four half-years before the current one.
    let age = async |half_years: i64| {
        let age = format!("UPDATE pruned_report_ids SET half_year = half_year - {half_years}");
        server.database.execute(&age).await;
        prune().await;
    };
    age(4).await;
    assert_eq!(send().await, ["duplicate"; 4]);
    age(1).await;
    assert_eq!(ids().await, ["1"], "the run that was just pruned");
    server.stop().await;
}

async fn removed_history_can_be_imported_again(database: Database) {
    let server = Server::start(database).await;
    let id = Uuid::now_v7();
    let timestamp = (Utc::now() - TimeDelta::days(100)).to_rfc3339();
    let report = with(run("a"), json!({"id": id, "pipeline": "news", "timestamp": timestamp}));
    let prune = async || {
        let store = Store::open(&server.database.url, Clock::system()).await.expect("open");
        store.prune(&Retention::default()).await.expect("pruned");
        store.close().await.expect("closed");
    };
    let send = async || server.report(RUNS, &json!([report])).await.1["results"][0]["status"].clone();
    for removal in [
        "mutation { removeSource(pipeline: \"news\", source: \"a\") }",
        "mutation { removePipeline(pipeline: \"news\") }",
        "{ __typename }",
    ] {
        assert_eq!(send().await, "stored", "{removal}");
        prune().await;
        assert_eq!(send().await, "duplicate", "{removal}");
        server.data(removal, json!({})).await;
        if removal.starts_with('{') {
            assert_eq!(send().await, "duplicate");
        }
    }
    server.stop().await;
}
