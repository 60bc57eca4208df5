use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use pipewatch::clock::Clock;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::ReportKind;
use pipewatch::store::Store;
use pipewatch::store::retention::Retention;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::bulk::insert_runs;
use crate::support::honest_clients::{HonestClients, is_soak};
use crate::support::server::{Process, answer, client, program};
use crate::support::timed_store::{TimedStore, lines, rollups};
use crate::support::{ALLOWANCE, Database, Server, run, with};

pub(super) const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";
const PIPELINES: [&str; 3] = ["default", "news", "other"];

on_both_databases! {
    rebuild_includes_concurrent_reports,
    reporters_do_not_wait_for_a_rebuild,
    rows_that_a_rebuild_needs_are_not_pruned,
    report_sent_again_after_pruning_is_a_duplicate,
    removed_history_can_be_imported_again,
}

/// Some weeks of history in three pipelines, most of it in two large days.
pub(super) async fn history(database: &Database) -> Vec<Vec<String>> {
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

pub(super) async fn all_rollups(database: &Database) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for pipeline in PIPELINES {
        all.push(rollups(database, pipeline).await);
    }
    all
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
