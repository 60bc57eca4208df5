use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::clock::Clock;
use pipewatch::config::Flags;
use pipewatch::store::Store;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::evaluator::EvaluatorFixture;
use crate::support::server::{Process, answer, client};
use crate::support::timed_store::{at, lines};
use crate::support::{Database, Server, eventually, run, with};

const RUNS: &str = "/api/v1/source-runs";
const READY: &str = "/api/health/ready";

on_both_databases! {
    wrong_clock_destroys_nothing,
    short_clock_jump_does_not_suspend_the_overdue_rule,
    skewed_server_refuses_changes_and_shows_why,
    server_alone_with_a_wrong_clock_raises_an_alert,
    start_far_ahead_of_the_newest_row_prunes_after_an_hour,
    lease_that_ends_in_the_far_future_is_free,
    late_evaluation_is_shown_by_a_server_that_does_not_evaluate,
    slow_commits_raise_an_alert,
}

fn begin() -> DateTime<Utc> {
    at("2026-03-02T00:00:00Z")
}

/// How far a clock is ahead, with a name for failure messages.
fn skews() -> [(TimeDelta, &'static str); 6] {
    [
        (TimeDelta::hours(-2), "two hours behind"),
        (TimeDelta::minutes(-5), "five minutes behind"),
        (TimeDelta::seconds(40), "40 s ahead"),
        (TimeDelta::minutes(10), "ten minutes ahead"),
        (TimeDelta::hours(2), "two hours ahead"),
        (TimeDelta::days(120), "120 days ahead"),
    ]
}

fn timed(source: &str, at: DateTime<Utc>) -> Value {
    with(run(source), json!({"timestamp": at.to_rfc3339()}))
}

/// All that a wrong clock might remove or write.
async fn rows(database: &Database) -> Vec<String> {
    let mut rows = Vec::new();
    for table in
        ["source_runs", "data_quality_metrics", "quality_rollups", "dirty_hours", "retention_watermarks", "outages"]
    {
        let count = lines(database, &format!("SELECT CAST(count(*) AS varchar) FROM {table}")).await;
        rows.push(format!("{table}: {count:?}"));
    }
    let sql = "SELECT rule || ' ' || check_name FROM alerts WHERE rule <> 'server'";
    rows.push(format!("alerts: {:?}", lines(database, sql).await));
    let sql = "SELECT CAST(seen_at AS varchar) || ' ' || CAST(confirmed_at AS varchar) FROM leases";
    rows.push(format!("leases: {:?}", lines(database, sql).await));
    rows
}

async fn wrong_clock_destroys_nothing(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    // One from 72 days ago, and one from an hour that has just ended.
    let runs = [timed("old", begin() - TimeDelta::days(72)), timed("new", begin() - TimeDelta::minutes(1))];
    watch.runs(begin(), &runs).await;
    assert!(watch.maintenance.write_hourly_metrics().await && watch.maintenance.prune().await);
    watch.evaluate_twice(begin()).await;
    watch.renew().await;
    let before = rows(&database).await;
    for (ahead, why) in skews() {
        watch.set_clock_wrong(ahead);
        watch.release().await;
        watch.renew().await;
        assert!(watch.maintenance.write_hourly_metrics().await && watch.maintenance.prune().await, "{why}");
        watch.evaluate_twice(begin()).await;
        assert_eq!(rows(&database).await, before, "{why}");
        watch.set_clock_wrong(TimeDelta::zero());
        watch.renew().await;
    }
}

async fn short_clock_jump_does_not_suspend_the_overdue_rule(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    let hourly: Vec<Value> = (0..12).map(|hours| timed("punch", begin() - TimeDelta::hours(hours))).collect();
    watch.runs(begin(), &hourly).await;
    watch.evaluate_twice(begin()).await;
    watch.set_clock_wrong(TimeDelta::hours(2));
    watch.release().await;
    watch.evaluate(begin() + TimeDelta::seconds(35)).await;
    watch.set_clock_wrong(TimeDelta::zero());
    watch.release().await;
    watch.evaluate_twice(begin() + TimeDelta::seconds(45)).await;
    assert_eq!(lines(&database, "SELECT rule FROM alerts WHERE rule = 'overdue'").await.len(), 0);

    watch.evaluate_twice(begin() + TimeDelta::minutes(185)).await;
    let silent = lines(&database, "SELECT source || ' ' || state FROM alerts WHERE rule = 'overdue'").await;
    assert_eq!(silent, ["punch firing"]);
}

async fn start(database: Database, skew: TimeDelta) -> Server {
    let flags = Flags { interval: Some("100ms".into()), evaluation_interval: Some("100ms".into()), ..Flags::default() };
    Server::start_skewed(database, flags, Utc::now(), skew).await
}

fn server_alert(status: &Value) -> Option<&Value> {
    status["alerts"].as_array()?.iter().find(|alert| alert["type"] == "server" || alert["type"] == "SERVER")
}

/// Reports are refused temporarily with the reason, and the server is not ready.
async fn refuses(server: &Server, why: &str) {
    let response = server.post(RUNS).json(&json!([run("a")])).send().await.expect("an answer");
    assert_eq!(response.status(), 503, "{why}");
    assert!(response.headers().contains_key("retry-after"), "{why}");
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["code"], "CLOCK_SKEW", "{why}: {problem}");
    let nil = uuid::Uuid::nil();
    for mutation in [
        "recordSourceRun(input: {source: \"a\", timestamp: \"2026-01-01T00:00:00Z\"}) { __typename }",
        "upsertSource(source: \"a\", enabled: false) { key }",
        "removeSource(source: \"a\")",
        "removePipeline(pipeline: \"other\")",
        "silenceAlerts(rule: OVERDUE, until: \"2999-01-01T00:00:00Z\", author: \"ada\", reason: \"why\") { id }",
        &format!("endAlertSilence(id: \"{nil}\")"),
        &format!("acknowledgeAlert(id: \"{nil}\", author: \"ada\") {{ id }}"),
    ] {
        let mutation = format!("mutation {{ {mutation} }}");
        assert_eq!(server.error_code(&mutation, json!({})).await, "CLOCK_SKEW", "{why}: {mutation}");
    }
    for path in [READY, "/api/health"] {
        let (status, health) = answer(server.get(path)).await;
        assert_eq!(status, 503, "{why}: {health}");
        assert!(health.to_string().contains("Check NTP"), "{why}: {health}");
    }
    let status = server.status("").await;
    let alert = server_alert(&status).unwrap_or_else(|| panic!("{why}: {status}"));
    assert_eq!(alert["title"], "Pipewatch problem: clock", "{why}");
}

async fn skewed_server_refuses_changes_and_shows_why(database: Database) {
    let server = start(database, TimeDelta::zero()).await;
    server.store_runs(RUNS, &[run("a"), with(run("a"), json!({"pipeline": "other"}))]).await;
    let mut events = Events::open(&server, "").await;
    let mut socket = Socket::plain(&server, "").await;
    for (ahead, why) in skews() {
        server.set_clock_wrong(ahead);
        refuses(&server, why).await;
        let event = loop {
            let status = events.next().await.expect("the stream stays open").json();
            if server_alert(&status).is_some() {
                break status;
            }
        };
        while server_alert(&socket.next().await).is_none() {}
        assert_eq!(event["scraping_health"]["articles_collected"], 3, "the known data is shown: {why}");

        server.set_clock_wrong(TimeDelta::zero());
        assert_eq!(answer(server.get(READY)).await.0, 200, "{why}");
        server.store_runs(RUNS, &[with(run("b"), json!({"articles_collected": 0}))]).await;
        while server_alert(&events.next().await.expect("the stream stays open").json()).is_some() {}
        while server_alert(&socket.next().await).is_some() {}
        assert!(server_alert(&server.status("").await).is_none(), "{why}");
    }
    drop((events, socket));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_120_days_ahead_affects_no_other() {
    let database = Database::postgres().await;
    let url = database.url.clone();
    let server = start(database, TimeDelta::zero()).await;
    let old = Utc::now() - TimeDelta::days(72);
    server.store_runs(RUNS, &[timed("old", old), run("new")]).await;
    eventually("the first server evaluates", || async { server_lease(&server).await }).await;
    let wrong = start(Database::existing(url), TimeDelta::days(120)).await;
    refuses(&wrong, "a server 120 days ahead").await;
    assert_eq!(wrong.status("").await["scraping_health"]["articles_collected"], 3, "it shows the known data");

    // The other server raises an alert about it, and works as before.
    let alert = eventually("the alert", || async {
        let query = "{ alerts { nodes { rule state title message } } }";
        let alerts = server.data(query, json!({})).await;
        let alerts = alerts["alerts"]["nodes"].as_array().expect("a list").clone();
        alerts.into_iter().find(|alert| alert["title"] == "Pipewatch problem: clock" && alert["state"] == "FIRING")
    })
    .await;
    let message = alert["message"].as_str().expect("a text");
    let expect = "Another server on this database reports: This server's clock is 10368000 s ahead of the database's";
    assert!(message.contains(expect), "{alert}");
    server.store_runs(RUNS, &[run("new")]).await;
    assert_eq!(answer(server.get(READY)).await.0, 200);
    assert_eq!(server_lease(&server).await, Some(()), "the lease has the same holder");
    let counts = "SELECT CAST((SELECT count(*) FROM source_runs) AS varchar) || ' ' || (SELECT count(*) FROM outages)";
    assert_eq!(lines(&server.database, counts).await, ["3 1"], "all runs, and the time before the first start");

    // When the first server stops, the skewed one may raise its own alert, and gives way to the next server.
    let database = server.stop().await;
    eventually("the skewed server holds the lease", || async {
        (lease(&database).await == "2 preemptible").then_some(())
    })
    .await;
    let right = start(database, TimeDelta::zero()).await;
    eventually("it gives way", || async { (lease(&right.database).await == "3").then_some(()) }).await;
    wrong.stop().await;
    right.stop().await;
}

/// Returns the term of the lease, and whether its holder is skewed.
async fn lease(database: &Database) -> String {
    let sql = "SELECT CAST(term AS varchar) || CASE WHEN is_preemptible THEN ' preemptible' ELSE '' END FROM leases";
    lines(database, sql).await.pop().unwrap_or_default()
}

/// Whether the first holder still holds the lease.
async fn server_lease(server: &Server) -> Option<()> {
    (lease(&server.database).await == "1").then_some(())
}

async fn server_alone_with_a_wrong_clock_raises_an_alert(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    watch.evaluate(begin()).await;
    watch.set_clock_wrong(TimeDelta::hours(-2));
    watch.renew().await;
    watch.evaluate_twice(begin() + TimeDelta::minutes(1)).await;
    let sql = "SELECT check_name || ' ' || state || ': ' || message FROM alerts";
    let alerts = lines(&database, sql).await;
    assert!(
        alerts.len() == 1 && alerts[0].starts_with("clock firing: This server's clock is 7200 s behind"),
        "{alerts:?}"
    );

    watch.set_clock_wrong(TimeDelta::zero());
    watch.renew().await;
    watch.evaluate_twice(begin() + TimeDelta::minutes(2)).await;
    assert!(lines(&database, sql).await[0].starts_with("clock resolved"));
}

async fn start_far_ahead_of_the_newest_row_prunes_after_an_hour(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    watch.runs(begin(), &[timed("old", begin())]).await;
    watch.evaluate_twice(begin()).await;
    watch.release().await;
    drop(watch);

    let runs = "SELECT CAST(count(*) AS varchar) FROM source_runs";
    let back = begin() + TimeDelta::days(120);
    // Repeated restarts confirm nothing.
    for start in 0..3 {
        let mut watch = EvaluatorFixture::start(&database, back + TimeDelta::minutes(start)).await;
        watch.set_now(back + TimeDelta::minutes(start) + TimeDelta::seconds(50));
        watch.renew().await;
        assert!(watch.maintenance.prune().await);
        watch.release().await;
        assert_eq!(lines(&database, runs).await, ["1"], "start {start}");
    }
    let mut watch = EvaluatorFixture::start(&database, back + TimeDelta::hours(1)).await;
    for (minutes, expect) in [(59, "1"), (60, "0")] {
        watch.set_now(back + TimeDelta::hours(1) + TimeDelta::minutes(minutes));
        watch.renew().await;
        assert!(watch.maintenance.prune().await);
        assert_eq!(lines(&database, runs).await, [expect], "after {minutes} minutes");
    }
}

async fn lease_that_ends_in_the_far_future_is_free(database: Database) {
    let watch = EvaluatorFixture::start(&database, Utc::now()).await;
    let clock = |ahead| Clock::skewed(Utc::now, move || ahead);
    let [right, wrong] = [TimeDelta::zero(), TimeDelta::hours(2)].map(clock);
    let right = Store::open(&database.url, right).await.expect("open");
    right.prepare().await.expect("prepared");
    assert!(right.take_lease("evaluation", "right").await.expect("a database").is_none(), "the first holds it");
    // Left by a dead holder when the database's clock was two hours ahead.
    database.execute("UPDATE leases SET expires_at = expires_at + 7200000").await;
    let lease = right.take_lease("evaluation", "right").await.expect("a database").expect("the lease");
    assert_eq!(lease.term(), 2);
    assert!(!watch.store.renew_lease(&lease).await.is_ok_and(|held| !held), "the lease is consistent");
    // A skewed holder gives way; one that is not skewed does not.
    if database.is_postgres() {
        let wrong = Store::open(&database.url, wrong).await.expect("open");
        wrong.prepare().await.expect("prepared");
        assert!(wrong.take_lease("evaluation", "wrong").await.expect("a database").is_none());
        right.release_lease(&lease).await.expect("released");
        assert_eq!(wrong.take_lease("evaluation", "wrong").await.expect("a database").expect("the lease").term(), 3);
        assert_eq!(right.take_lease("evaluation", "right").await.expect("a database").expect("the lease").term(), 4);
    }
}

async fn late_evaluation_is_shown_by_a_server_that_does_not_evaluate(database: Database) {
    let other = Store::open(&database.url, Clock::system()).await.expect("open");
    other.migrate(pipewatch::store::MigrateTo::Up(None)).await.expect("migrated");
    other.prepare().await.expect("prepared");
    // A server that holds the lease and hangs.
    assert!(other.take_lease("evaluation", "other").await.expect("a database").is_some());
    let hanging = tokio::spawn(async move {
        while other.take_lease("evaluation", "other").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let server = start(database, TimeDelta::zero()).await;
    assert!(server_alert(&server.status("").await).is_none());
    let mut events = Events::open(&server, "").await;
    let alert = eventually("the alert", || async {
        let status = server.status("").await;
        server_alert(&status).cloned()
    })
    .await;
    assert_eq!(alert["title"], "Pipewatch problem: evaluation");
    while server_alert(&events.next().await.expect("the stream stays open").json()).is_none() {}
    let (status, health) = answer(server.get("/api/health")).await;
    assert_eq!((status, &health["evaluation"]["status"]), (200, &json!("error")), "{health}");
    assert_eq!(answer(server.get(READY)).await.0, 200, "reports are accepted");

    hanging.abort();
    eventually("another server evaluates", || async { server_alert(&server.status("").await).is_none().then_some(()) })
        .await;
    drop(events);
    server.stop().await;
}

async fn slow_commits_raise_an_alert(database: Database) {
    let server = start(database, TimeDelta::zero()).await;
    let connection = server.database.connect().await;
    let lock = if server.database.is_postgres() { "LOCK TABLE pipelines" } else { "DELETE FROM outages WHERE 1 = 0" };
    let transaction = connection.begin().await.expect("a transaction");
    transaction.execute_unprepared(lock).await.expect("a lock");
    let report = server.post(RUNS).json(&json!([run("a")]));
    let reported = tokio::spawn(async move { answer(report).await.0 });
    // The duration of the other program's transaction.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    transaction.commit().await.expect("released");
    assert_eq!(reported.await.expect("no panic"), 201, "it waited");
    eventually("the commit is known to be slow", || async {
        server.advance(TimeDelta::minutes(1));
        let sql = "SELECT component FROM server_problems";
        lines(&server.database, sql).await.contains(&"commits".to_owned()).then_some(())
    })
    .await;
    let message = eventually("the alert", || async {
        let sql = "SELECT message FROM alerts WHERE rule = 'server' AND check_name = 'commits' AND state = 'firing'";
        lines(&server.database, sql).await.pop()
    })
    .await;
    assert!(message.contains("the longest of the last minute took") && message.contains("disk"), "{message}");
    connection.close().await.expect("closed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_show_evaluation_lease_clock_and_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let evaluated = eventually("an evaluation", || async {
        let at = server.metric("pipewatch_last_evaluation_timestamp_seconds").await;
        (at > 0.0 && server.metric("pipewatch_lease_held").await > 0.5).then_some(at)
    })
    .await;
    let evaluated: i64 = format!("{evaluated:.0}").parse().expect("seconds since 1970");
    assert!((Utc::now().timestamp() - evaluated).abs() < 60, "{evaluated}");
    let text = client().get(format!("{}/metrics", server.url)).send().await.expect("an answer").text().await;
    let text = text.expect("text");
    for name in [
        "pipewatch_clock_skew_seconds ",
        "pipewatch_lease_held{lease=\"evaluation\"} 1",
        "pipewatch_writer_queue ",
        "pipewatch_pool_connections{",
        "pipewatch_last_evaluation_timestamp_seconds ",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    // The two clocks are read one after the other.
    assert!(server.metric("pipewatch_clock_skew_seconds").await.abs() < 20.0);
    assert_eq!(server.signal("TERM").code(), Some(0));
}
