//! Reporters that create more and more names, and data of older servers beyond the limits.

use chrono::TimeDelta;
use pipewatch::config::Flags;
use pipewatch::domain::health::Health;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::{Report, ReportContext, ReportKind};
use pipewatch::notify::Channel;
use pipewatch::store::{NewReport, RecordOutcome};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::notifier::NotifierFixture;
use crate::support::receivers::Receiver;
use crate::support::server::Process;
use crate::support::timed_store::TimedStore;
use crate::support::{Database, Server, eventually, in_time, now, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";

on_both_databases! {
    large_notifications_are_split_and_cut,
    items_beyond_a_limit_are_refused,
    lowered_limit_applies_to_new_names_only,
    mutations_beyond_a_limit_are_refused,
    interrupted_removal_is_finished,
}

/// Alerts of an older server that an evaluation resolves at once, because no rule covers them any more.
pub(super) const FINDINGS: usize = 20_000;
pub(super) const ALERT_COLUMNS: &str = "(id, fingerprint, rule, kind, pipeline, source, state, severity, title, message, started_at, changed_at, worse_streak, eased_streak, recovered_streak)";
pub(super) const ALERT: &str = "ID, 'f' || n, 'overdue', 'overdue', 'default', 's' || n, \
    CASE n % 4 WHEN 0 THEN 'acknowledged' WHEN 1 THEN 'pending' ELSE 'firing' END, \
    CASE WHEN n % 1000 < 4 THEN 'high' WHEN n % 2 = 0 THEN 'medium' ELSE 'low' END, 'title ' || n, 'message', \
    '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00', 1, 0, 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reporters_are_served_during_twenty_thousand_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--evaluation-interval", "500ms"];
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &flags);
    let honest = HonestClients::start(&server, None).await;
    let database = Database::existing(format!("sqlite://{}/pipewatch.db", folder.path().display()));
    let alerts = each(&database, FINDINGS, ALERT);
    database.execute(&format!("INSERT INTO alerts {ALERT_COLUMNS} {alerts}")).await;
    let connection = database.connect().await;
    // Ten of the parts; the rest follow while the honest clients continue.
    let count = Statement::from_string(
        connection.get_database_backend(),
        "SELECT count(*) FROM alerts WHERE state = 'resolved'",
    );
    eventually("alerts are resolved in parts", || async {
        let row = connection.query_one_raw(count.clone()).await.ok()??;
        (row.try_get_by_index::<i64>(0).ok()? >= 2_000).then_some(())
    })
    .await;
    connection.close().await.expect("closed");
    tokio::time::sleep(attack_length()).await;
    honest.finish(&server).await;
}

async fn large_notifications_are_split_and_cut(database: Database) {
    let receiver = Receiver::start().await;
    let webhook = Channel::webhook(&receiver.url(), None).expect("a URL");
    let teller = NotifierFixture::start(&database, [webhook]).await;
    // Long keys: not even the thousand alerts of one notification fit into its size.
    let sources: Vec<String> = (0..2_500).map(|number| format!("{number:0200}")).collect();
    teller.fire(&sources.iter().map(String::as_str).collect::<Vec<_>>()).await;
    teller.advance(TimeDelta::seconds(30));
    let mut alerts: Vec<u64> = Vec::new();
    let delivery = async {
        while alerts.iter().sum::<u64>() < 2_500 {
            teller.run().await;
            for notification in receiver.take_received() {
                assert!(notification.body.len() <= 256 * 1024, "{} bytes", notification.body.len());
                let body: Value = serde_json::from_str(&notification.body).expect("JSON");
                let listed = body["data"]["alerts"].as_array().expect("alerts").len() as u64;
                let omitted = body["data"]["alerts_omitted"].as_u64().expect("a number");
                assert!(listed > 0, "{body}");
                alerts.push(listed + omitted);
            }
        }
    };
    in_time("all notifications are delivered", Box::pin(delivery)).await;
    assert_eq!(alerts, [1_000, 1_000, 500]);
}

fn small() -> Flags {
    Flags {
        max_pipelines: Some(3),
        max_sources_per_pipeline: Some(2),
        max_checks_per_pipeline: Some(2),
        max_counts_per_pipeline: Some(2),
        max_labels_per_source: Some(2),
        max_silences: Some(1),
        max_text_length: Some(10),
        ..Flags::default()
    }
}

fn with_checks(item: Value, names: &[&str]) -> Value {
    let checks: Vec<_> = names.iter().map(|name| json!({"name": name, "attempts": 9, "passes": 9})).collect();
    with(item, json!({"checks": checks}))
}

/// Returns the field and the expected value of each refused item, and the status of each stored one.
fn outcomes(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let results = answer["results"].as_array().expect("results");
    let outcome = |result: &Value| match result["errors"].as_array().map(Vec::as_slice) {
        Some([fault]) => (text(&fault["field"]), text(&fault["expected"])),
        _ => (text(&result["status"]), String::new()),
    };
    results.iter().map(outcome).collect()
}

async fn items_beyond_a_limit_are_refused(database: Database) {
    let server = Server::start_with(database, small()).await;
    let id = Uuid::now_v7();
    let of = |pipeline: &str, source: &str| with(run(source), json!({"pipeline": pipeline}));
    let begun = json!({"id": id, "source": "a", "timestamp": now(), "outcome": "running"});
    let stored = ("stored", "");
    let pipelines = ("pipeline", "at most 3 pipelines (setting max_pipelines)");
    let sources = ("source", "at most 2 sources per pipeline (setting max_sources_per_pipeline)");
    let counted = |names: &[&str]| {
        let counts: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
        json!({"source": "a", "timestamp": now(), "counts": counts})
    };
    let counts = ("counts", "at most 2 counts per pipeline (setting max_counts_per_pipeline)");
    let checks = ("checks", "at most 2 checks per pipeline (setting max_checks_per_pipeline)");
    for (path, items, status, expect) in [
        // One of them exceeds the limit of sources; the others are stored.
        (RUNS, vec![begun, run("b"), run("c"), run("b")], 207, vec![stored, stored, sources, stored]),
        (RUNS, vec![run("c"), run("d")], 422, vec![sources, sources]),
        (
            METRICS,
            vec![json!({"timestamp": now(), "metric_type": "hourly", "source": "c", "geocoding_attempts": 1,
            "geocoding_successes": 1})],
            422,
            vec![sources],
        ),
        (
            RUNS,
            vec![of("p1", "a"), of("p2", "a"), of("p3", "a"), of("p2", "b")],
            207,
            vec![stored, stored, pipelines, stored],
        ),
        (RUNS, vec![of("p3", "a")], 422, vec![pipelines]),
        (RUNS, vec![with_checks(run("a"), &["x"]), with_checks(run("a"), &["x", "y", "z"])], 207, vec![stored, checks]),
        (RUNS, vec![counted(&["x", "articles", "events"]), counted(&["x", "y", "z"])], 207, vec![stored, counts]),
        (RUNS, vec![counted(&["y"]), counted(&["z"])], 207, vec![stored, counts]),
        // The refused item did not count.
        (RUNS, vec![with_checks(run("a"), &["y"]), with_checks(run("b"), &["y", "x"])], 201, vec![stored, stored]),
        (RUNS, vec![with_checks(run("a"), &["z"])], 422, vec![checks]),
        (RUNS, vec![with_checks(of("p1", "a"), &["z"])], 201, vec![stored]),
        // The end of a started run.
        (RUNS, vec![with_checks(with(run("a"), json!({"id": id})), &["z"])], 422, vec![checks]),
        (RUNS, vec![with_checks(with(run("a"), json!({"id": id})), &["x"])], 201, vec![stored]),
    ] {
        let (found, answer) = server.report(path, &json!(items)).await;
        let expect: Vec<_> = expect.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
        assert_eq!((found, outcomes(&answer)), (status, expect), "{answer}");
    }
    let overview = server.data("{ pipelines { key totalSources } }", json!({})).await;
    let expect =
        [("default", 2), ("p1", 1), ("p2", 2)].map(|(key, sources)| json!({"key": key, "totalSources": sources}));
    assert_eq!(overview["pipelines"], json!(expect));
    let record = "mutation($input: SourceRunInput!) { recordSourceRun(input: $input) { results { status errors { field expected } } } }";
    let answer = server.data(record, json!({"input": {"source": "c", "timestamp": now()}})).await;
    let result = &answer["recordSourceRun"]["results"][0];
    assert_eq!((&result["status"], &result["errors"][0]["field"]), (&json!("REFUSED"), &json!("source")), "{result}");
    assert_eq!(result["errors"][0]["expected"], sources.1);
    server.stop().await;
}

async fn lowered_limit_applies_to_new_names_only(database: Database) {
    let server = Server::start(database).await;
    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    let names = ["w", "x", "y", "z"];
    let all: Vec<Value> =
        (0..4).map(|n| with_checks(with(run(names[n]), json!({"id": ids[n]})), &names[..=n])).collect();
    server.store_runs(RUNS, &all).await;
    let elsewhere: Vec<Value> = names.iter().map(|name| with(run("a"), json!({"pipeline": name}))).collect();
    server.store_runs(RUNS, &elsewhere).await;
    let server = Server::start_with(server.stop().await, small()).await;

    let (status, answer) = server.report(RUNS, &json!(all)).await;
    assert_eq!(status, 200, "the same reports are duplicates: {answer}");
    let again: Vec<Value> = names.iter().map(|name| with_checks(run(name), &names)).collect();
    server.store_runs(RUNS, &again).await;
    server.store_runs(RUNS, &elsewhere).await;
    assert_eq!(server.report(RUNS, &run("new")).await.0, 422);
    assert_eq!(server.report(RUNS, &with_checks(run("w"), &["new"])).await.0, 422);
    assert_eq!(server.report(RUNS, &with(run("a"), json!({"pipeline": "new"}))).await.0, 422);

    // Everything is still readable, and removals free capacity.
    let status = server.status("?sources=all").await;
    assert_eq!(status["scraping_health"]["total_sources"], 4);
    assert_eq!(status["data_quality"]["checks"].as_array().map(Vec::len), Some(6));
    for key in ["w", "x"] {
        server.data("mutation($key: String!) { removePipeline(pipeline: $key) }", json!({"key": key})).await;
    }
    assert_eq!(server.report(RUNS, &with(run("a"), json!({"pipeline": "new"}))).await.0, 422, "three are left");
    server.data("mutation { removePipeline(pipeline: \"y\") }", json!({})).await;
    for key in ["w", "x", "y"] {
        server.data("mutation($key: String!) { removeSource(source: $key) }", json!({"key": key})).await;
    }
    server.store_runs(RUNS, &[run("new"), with(run("a"), json!({"pipeline": "new"}))]).await;
    server.stop().await;
}

async fn mutations_beyond_a_limit_are_refused(database: Database) {
    let server = Server::start_with(database, small()).await;
    let upsert = "mutation($pipeline: String!, $source: String!, $labels: [LabelInput!]) {
        upsertSource(pipeline: $pipeline, source: $source, labels: $labels) { key labels { name } } }";
    let label = |name: &str, value: &str| json!({"name": name, "value": value});
    let variables =
        |pipeline: &str, source: &str, labels: Value| json!({"pipeline": pipeline, "source": source, "labels": labels});
    for (pipeline, source, labels, setting) in [
        ("p1", "a", json!([label("team", "maps"), label("b", "c")]), None),
        ("p1", "a", json!([label("a", "b"), label("b", "c"), label("c", "d")]), Some("max_labels_per_source")),
        ("p1", "b", json!([label("a", "12345678901")]), Some("max_text_length")),
        ("p1", "b", json!([]), None),
        ("p1", "c", Value::Null, Some("max_sources_per_pipeline")),
        ("p2", "a", Value::Null, None),
        ("p3", "a", Value::Null, Some("max_pipelines")),
        ("p1", "b", json!([label("a", "ä234567890")]), None),
    ] {
        refused_by(&server, upsert, variables(pipeline, source, labels), setting).await;
    }
    let silence = "mutation($until: DateTime!, $label: String, $reason: String!, $author: String!) {
        silenceAlerts(rule: OVERDUE, label: $label, until: $until, author: $author, reason: $reason) { id } }";
    let until = "2999-01-01T00:00:00Z";
    for (label, author, reason, setting) in [
        ("team=maps", "ada", "12345678901", Some("max_text_length")),
        ("team=12345678901", "ada", "why", Some("max_text_length")),
        ("team=maps", &*"a".repeat(256), "why", Some("255 characters")),
        ("team=maps", "ada", "why", None),
        ("team=maps", "ada", "why", Some("max_silences")),
    ] {
        let variables = json!({"until": until, "label": label, "author": author, "reason": reason});
        refused_by(&server, silence, variables, setting).await;
    }
    let acknowledge =
        "mutation($id: ID!, $note: String) { acknowledgeAlert(id: $id, author: \"ada\", note: $note) { id } }";
    refused_by(&server, acknowledge, json!({"id": Uuid::nil(), "note": "12345678901"}), Some("max_text_length")).await;
    server.stop().await;
}

/// Runs an operation that is refused with a message containing `name`, or succeeds without one.
async fn refused_by(server: &Server, operation: &str, variables: Value, name: Option<&str>) {
    let Some(name) = name else { return drop(server.data(operation, variables).await) };
    let answer = server.graphql(operation, variables.clone()).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{variables}: {answer}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(name)), "{variables}: {answer}");
}

/// Returns a `SELECT` over the numbers below `numbers`, as `n`.
pub(super) fn each(database: &Database, numbers: usize, columns: &str) -> String {
    let id = if database.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let columns = columns.replace("ID", id);
    format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {numbers}) \
         SELECT {columns} FROM numbers"
    )
}

async fn interrupted_removal_is_finished(database: Database) {
    let server = Server::start(database).await;
    let of_news = |source: &str| with_checks(with(run(source), json!({"pipeline": "news"})), &["x"]);
    server.store_runs(RUNS, &(0..1_000).map(|n| of_news(&format!("s{}", n % 7))).collect::<Vec<_>>()).await;
    server.store_runs(RUNS, &[run("a")]).await;
    let database = server.stop().await;
    let mark = format!("UPDATE pipelines SET removing_at = '{}' WHERE key = 'news'", now());
    database.execute(&mark).await;

    // Without a server, no background task removes anything.
    let store = TimedStore::open(&database, &now()).await;
    assert_eq!(store.store.pipelines().await.expect("pipelines").len(), 1, "queries leave it out");
    let arrival = ReportContext { received_at: chrono::Utc::now(), pipeline: Ok(PipelineKey::default()) };
    let entry = |item: Value| {
        let report = Report::parse(ReportKind::SourceRun, item, &arrival).expect("a report");
        NewReport { report, status: Health::Healthy }
    };
    let receipt = store.store.record(vec![entry(of_news("a")), entry(run("a"))]).await.expect("recorded");
    assert!(
        matches!(receipt.results[..], [RecordOutcome::PipelineBeingRemoved(None), RecordOutcome::Stored(_)]),
        "{receipt:?}"
    );
    assert_eq!(store.store.finish_removals().await.expect("removed"), 1);
    assert_eq!(store.store.finish_removals().await.expect("removed"), 0);

    // The same for a source.
    database.execute(&format!("UPDATE sources SET removing_at = '{}' WHERE key = 'a'", now())).await;
    let pipeline = PipelineKey::default();
    assert_eq!(store.store.sources(&pipeline, None, 10).await.expect("sources"), []);
    let receipt = store.store.record(vec![entry(run("a")), entry(run("b"))]).await.expect("recorded");
    assert!(
        matches!(receipt.results[..], [RecordOutcome::SourceBeingRemoved(None), RecordOutcome::Stored(_)]),
        "{receipt:?}"
    );
    assert_eq!(store.store.finish_removals().await.expect("removed"), 1);
    assert_eq!(store.store.finish_removals().await.expect("removed"), 0);
    let receipt = store.store.record(vec![entry(run("a"))]).await.expect("recorded");
    assert!(matches!(receipt.results[..], [RecordOutcome::Stored(_)]), "{receipt:?}");
    let receipt = store.store.record(vec![entry(of_news("new"))]).await.expect("recorded");
    assert!(matches!(receipt.results[..], [RecordOutcome::Stored(_)]), "{receipt:?}");
    store.close().await;

    let server = Server::start(database).await;
    let health = &server.status("?pipeline=news").await["scraping_health"];
    assert_eq!(
        (&health["total_sources"], &health["articles_collected"]),
        (&json!(1), &json!(3)),
        "old and new data are separate"
    );
    server.data("mutation { removePipeline(pipeline: \"news\") }", json!({})).await;
    assert_eq!(
        server.error_code("{ pipelineStatus(pipeline: \"news\") { revision } }", json!({})).await,
        "PIPELINE_NOT_FOUND"
    );
    server.store_runs(RUNS, &[of_news("again")]).await;
    server.stop().await;
}
