//! Alerts: firing, acknowledgement, silences, resolution.

use chrono::TimeDelta;
use pipewatch::config::Flags;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::clients::{Event, Events, Socket};
use crate::support::evaluator::EvaluatorFixture;
use crate::support::timed_store::{at, lines};
use crate::support::{Database, Server, ago, eventually, now, run, with};

const RUNS: &str = "/api/v1/source-runs";

on_both_databases! {
    rate_below_threshold_fires_and_resolves,
    acknowledged_alert_stays_in_the_status,
    overdue_source_raises_an_alert,
    expected_interval_is_inferred,
    disabled_source_is_never_overdue,
    alert_event_reaches_each_subscriber_once,
    alert_event_precedes_the_status_that_contains_it,
    run_without_completion_is_lost,
    evaluator_without_the_lease_writes_nothing,
    silence_ends_at_its_expiry,
}

/// A server that evaluates continuously.
async fn start(database: Database) -> Server {
    let server = Server::start_with(database, quick()).await;
    // Time before the first evaluation counts as an outage, which extends deadlines. The clock is advanced only after
    // it.
    server.status("").await;
    let connection = server.database.connect().await;
    let sql = "SELECT count(*) FROM leases WHERE term > 0";
    eventually("an evaluator", || async {
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(statement).await.ok()??;
        (row.try_get_by_index::<i64>(0).ok()? > 0).then_some(())
    })
    .await;
    connection.close().await.expect("closed");
    server
}

fn quick() -> Flags {
    Flags { evaluation_interval: Some("100ms".into()), ..Flags::default() }
}

const ALERTS: &str = "{ alerts { nodes { id rule type pipeline source check state severity title message
    startedAt changedAt acknowledgedBy note } } }";

async fn alerts(server: &Server) -> Vec<Value> {
    server.data(ALERTS, json!({})).await["alerts"]["nodes"].as_array().expect("a list").clone()
}

/// Waits for the alert of a rule to reach a state.
async fn alert(server: &Server, rule: &str, state: &str) -> Value {
    eventually(&format!("{rule} {state}"), || async {
        let alerts = alerts(server).await;
        alerts.into_iter().find(|alert| alert["rule"] == rule && alert["state"] == state)
    })
    .await
}

fn quality(successes: u32) -> Value {
    with(run("punch"), json!({"geocoding_attempts": 100, "geocoding_successes": successes}))
}

async fn rate_below_threshold_fires_and_resolves(database: Database) {
    let server = start(database).await;
    server.store_runs(RUNS, &[quality(50)]).await;
    let firing = alert(&server, "THRESHOLD", "FIRING").await;
    assert_eq!((&firing["check"], &firing["severity"]), (&json!("geocoding"), &json!("HIGH")), "{firing}");
    let status = server.status("").await;
    assert_eq!((&status["alerts"][0]["state"], &status["alerts"][0]["type"]), (&json!("firing"), &json!("quality")));
    assert_eq!(status["alerts"][0]["id"], firing["id"]);

    // 132 of 200 are 66 %: above the error threshold, still below the warning threshold.
    server.store_runs(RUNS, &[quality(82)]).await;
    eventually("an alert with lower severity", || async {
        let alert = alert(&server, "THRESHOLD", "FIRING").await;
        (alert["severity"] == "MEDIUM" && alert["id"] == firing["id"]).then_some(())
    })
    .await;
    // 1132 of 1,200 are above both thresholds.
    server
        .store_runs(RUNS, &[with(quality(0), json!({"geocoding_attempts": 1000, "geocoding_successes": 1000}))])
        .await;
    let resolved = alert(&server, "THRESHOLD", "RESOLVED").await;
    assert_eq!(resolved["id"], firing["id"]);
    assert_eq!(server.status("").await["alerts"], json!([]));
    assert_eq!(alerts(&server).await.len(), 1, "repeated findings are one alert");
    server.stop().await;
}

async fn acknowledged_alert_stays_in_the_status(database: Database) {
    let server = start(database).await;
    server.store_runs(RUNS, &[quality(50)]).await;
    let id = alert(&server, "THRESHOLD", "FIRING").await["id"].clone();
    let acknowledge = "mutation($id: ID!, $author: String!) {
        acknowledgeAlert(id: $id, author: $author, note: \"on it\") { state acknowledgedBy note } }";
    let answer = server.data(acknowledge, json!({"id": id, "author": "ada"})).await;
    assert_eq!(answer["acknowledgeAlert"], json!({"state": "ACKNOWLEDGED", "acknowledgedBy": "ada", "note": "on it"}));
    let status = server.status("").await;
    assert_eq!(status["alerts"][0]["state"], "acknowledged");
    assert_eq!(status["overall_status"], "error", "acknowledging does not mend it");
    for (id, author, code) in [
        (id.clone(), "ada", "CANNOT_ACKNOWLEDGE"),
        (id.clone(), " ", "BAD_USER_INPUT"),
        (json!("x"), "ada", "BAD_USER_INPUT"),
        (json!(Uuid::from_u128(7)), "ada", "ALERT_NOT_FOUND"),
    ] {
        assert_eq!(
            server.error_code(acknowledge, json!({"id": id, "author": author})).await,
            code,
            "{id} by {author:?}"
        );
    }
    server
        .store_runs(RUNS, &[with(quality(0), json!({"geocoding_attempts": 1000, "geocoding_successes": 1000}))])
        .await;
    alert(&server, "THRESHOLD", "RESOLVED").await;
    server.stop().await;
}

const UPSERT: &str = "mutation($every: String, $enabled: Boolean!) {
    upsertSource(source: \"punch\", enabled: $enabled, expectedEvery: $every, grace: \"10m\") { expectedEvery grace enabled } }";

async fn overdue_source_raises_an_alert(database: Database) {
    let server = start(database).await;
    let answer = server.data(UPSERT, json!({"every": "1h", "enabled": true})).await;
    assert_eq!(answer["upsertSource"], json!({"expectedEvery": "3600", "grace": "600", "enabled": true}));
    for (every, code) in [("often", "BAD_USER_INPUT"), ("CRON_TZ=Mars/Olympus 0 6 * * *", "BAD_USER_INPUT")] {
        assert_eq!(server.error_code(UPSERT, json!({"every": every, "enabled": true})).await, code, "{every}");
    }
    server.store_runs(RUNS, &[run("punch")]).await;
    server.advance(TimeDelta::minutes(65));
    // Another finding shows that an evaluation has run after the advance.
    server.store_runs(RUNS, &[with(quality(0), json!({"source": "vanguard"}))]).await;
    alert(&server, "THRESHOLD", "FIRING").await;
    assert!(alerts(&server).await.iter().all(|alert| alert["rule"] != "OVERDUE"), "the grace is not over");

    server.advance(TimeDelta::minutes(10));
    let silent = alert(&server, "OVERDUE", "FIRING").await;
    assert_eq!((&silent["source"], &silent["type"]), (&json!("punch"), &json!("OVERDUE")));
    assert_eq!(silent["severity"], "MEDIUM");
    assert!(server.status("").await["alerts"].as_array().expect("alerts").iter().any(|one| one["id"] == silent["id"]));

    let late = with(run("punch"), json!({"timestamp": (chrono::Utc::now() + TimeDelta::minutes(74)).to_rfc3339()}));
    server.store_runs(RUNS, &[late]).await;
    assert_eq!(alert(&server, "OVERDUE", "RESOLVED").await["id"], silent["id"]);
    server.stop().await;
}

async fn expected_interval_is_inferred(database: Database) {
    let server = start(database).await;
    let hourly: Vec<Value> =
        (0..12).map(|hours| with(run("punch"), json!({"timestamp": ago(TimeDelta::hours(hours))}))).collect();
    server.store_runs(RUNS, &hourly).await;
    server.advance(TimeDelta::minutes(175));
    server.store_runs(RUNS, &[with(quality(0), json!({"source": "vanguard"}))]).await;
    alert(&server, "THRESHOLD", "FIRING").await;
    assert!(alerts(&server).await.iter().all(|alert| alert["rule"] != "OVERDUE"), "three gaps are not over");
    server.advance(TimeDelta::minutes(10));
    assert_eq!(alert(&server, "OVERDUE", "FIRING").await["source"], "punch");
    server.stop().await;
}

async fn disabled_source_is_never_overdue(database: Database) {
    let server = start(database).await;
    server.data(UPSERT, json!({"every": "1h", "enabled": true})).await;
    server.store_runs(RUNS, &[run("punch")]).await;
    server.advance(TimeDelta::hours(2));
    alert(&server, "OVERDUE", "FIRING").await;
    server.data(UPSERT, json!({"every": "1h", "enabled": false})).await;
    alert(&server, "OVERDUE", "RESOLVED").await;
    assert_eq!(server.status("").await["alerts"], json!([]));
    server.stop().await;
}

async fn alert_event_reaches_each_subscriber_once(database: Database) {
    let server = start(database).await;
    let subscribe =
        |since: &str| format!("subscription {{ alertEvents{since} {{ id from to rule reason severity revision }} }}");
    let mut first = Socket::graphql(&server).await;
    first.subscribe("1", &subscribe("(since: \"0\")")).await;
    server.store_runs(RUNS, &[quality(50)]).await;
    let next = async |socket: &mut Socket| socket.next().await["payload"]["data"]["alertEvents"].take();
    let found = next(&mut first).await;
    assert_eq!((&found["from"], &found["to"]), (&Value::Null, &json!("PENDING")), "{found}");
    let fired = next(&mut first).await;
    assert_eq!(
        (&fired["from"], &fired["to"], &fired["reason"]),
        (&json!("PENDING"), &json!("FIRING"), &json!("PERSISTED"))
    );
    assert!(crate::support::revision(&fired["revision"]) > crate::support::revision(&found["revision"]));

    // A client that subscribes later, or again, receives the events after the id it names, then new ones.
    let mut second = Socket::graphql(&server).await;
    second.subscribe("1", &subscribe("(since: \"0\", pipeline: \"default\")")).await;
    assert_eq!((next(&mut second).await, next(&mut second).await), (found.clone(), fired.clone()));
    let mut third = Socket::graphql(&server).await;
    let since = format!("(since: \"{}\")", found["id"].as_str().expect("an id"));
    third.subscribe("1", &subscribe(&since)).await;
    assert_eq!(next(&mut third).await, fired);
    // Without `since`, only new events. The response to the second operation shows that the subscription is active.
    let mut fourth = Socket::graphql(&server).await;
    fourth.subscribe("1", &subscribe("")).await;
    fourth.subscribe("2", "{ __typename }").await;
    assert_eq!(fourth.next().await["id"], "2");

    server
        .store_runs(RUNS, &[with(quality(0), json!({"geocoding_attempts": 9000, "geocoding_successes": 9000}))])
        .await;
    for socket in [&mut first, &mut second, &mut third] {
        let resolved = next(socket).await;
        assert_eq!((&resolved["from"], &resolved["to"]), (&json!("FIRING"), &json!("RESOLVED")), "{resolved}");
    }
    server.stop().await;
}

async fn alert_event_precedes_the_status_that_contains_it(database: Database) {
    let server = start(database).await;
    let mut events = Events::open(&server, "").await;
    let first = events.next().await.expect("a status");
    assert_eq!(first.event, "status");
    server.store_runs(RUNS, &[quality(50)]).await;
    let seen = follow(&mut events, "firing").await;
    let alert_events: Vec<_> = seen.iter().filter(|event| event.event == "alert").map(Event::json).collect();
    let steps: Vec<_> = alert_events.iter().map(|step| (&step["from"], &step["to"])).collect();
    assert_eq!(steps, [(&Value::Null, &json!("pending")), (&json!("pending"), &json!("firing"))]);
    assert!(seen.iter().all(|event| event.event == "status" || event.id.is_empty()), "an alert has no id");
    for (place, event) in seen.iter().enumerate().filter(|(_, event)| event.event == "alert") {
        let revision = crate::support::revision(&event.json()["revision"]);
        let before = seen[..place].iter().filter(|event| event.event == "status");
        let newest = before.map(|event| crate::support::revision(&event.json()["revision"])).max().unwrap_or(0);
        assert!(newest < revision, "the event precedes the first status with its revision");
    }

    // A client that resumes receives the missed events once, before the newest status.
    let mut back = Events::resume(&server, "", &first.id).await;
    let missed = follow(&mut back, "firing").await;
    let again: Vec<_> = missed.iter().filter(|event| event.event == "alert").map(Event::json).collect();
    assert_eq!(again, alert_events);
    server
        .store_runs(RUNS, &[with(quality(0), json!({"geocoding_attempts": 9000, "geocoding_successes": 9000}))])
        .await;
    for stream in [&mut events, &mut back] {
        let seen = follow(stream, "resolved").await;
        assert_eq!(seen.iter().filter(|event| event.event == "alert").count(), 1, "one event for each new change");
    }
    server.stop().await;
}

/// Reads events up to the status that contains the alert's change to this state.
async fn follow(events: &mut Events, state: &str) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await.expect("an event");
        let has_alert = seen.iter().any(|event: &Event| event.event == "alert" && event.json()["to"] == state);
        let is_status = event.event == "status";
        seen.push(event);
        if has_alert && is_status {
            return seen;
        }
    }
}

async fn run_without_completion_is_lost(database: Database) {
    let server = start(database).await;
    let id = Uuid::from_u128(1);
    let start = json!({"id": id, "source": "punch", "timestamp": now(), "outcome": "running"});
    server.store_runs(RUNS, &[start]).await;
    server.advance(TimeDelta::minutes(61));
    let source = eventually("a lost run", || async {
        let source = server.status("").await["scraping_health"]["sources"][0].take();
        (source["status"] == "error").then_some(source)
    })
    .await;
    assert_eq!((&source["running"], &source["runs"]), (&json!(0), &json!(1)));
    let state = "{ sourceRuns { nodes { state } } }";
    assert_eq!(server.data(state, json!({})).await["sourceRuns"]["nodes"], json!([{"state": "LOST"}]));

    // The run completes after all, with a timestamp before it was marked as lost.
    let end = with(run("punch"), json!({"id": id}));
    assert_eq!(server.report(RUNS, &end).await.0, 201);
    let source = server.status("").await["scraping_health"]["sources"][0].take();
    assert_eq!((&source["status"], &source["runs"]), (&json!("healthy"), &json!(1)), "{source}");
    assert_eq!(server.data(state, json!({})).await["sourceRuns"]["nodes"], json!([{"state": "OK"}]));
    server.stop().await;
}

async fn evaluator_without_the_lease_writes_nothing(database: Database) {
    let begin = at("2026-03-02T00:00:00Z");
    let later = begin + TimeDelta::hours(3);
    let mut evaluator = EvaluatorFixture::start(&database, begin).await;
    let start =
        json!({"id": Uuid::from_u128(1), "source": "punch", "timestamp": begin.to_rfc3339(), "outcome": "running"});
    let bad = json!({"source": "punch", "timestamp": begin.to_rfc3339(), "geocoding_attempts": 100, "geocoding_successes": 1});
    evaluator.runs(begin, &[start, bad]).await;
    let lost = evaluator.lease().await;
    evaluator.release().await;
    let held = evaluator.store.take_lease("evaluation", "another").await.expect("a database").expect("the lease");
    let before = evaluator.store.pipelines().await.expect("a database");
    let written = "SELECT 'run ' || state FROM source_runs WHERE end_digest IS NULL UNION ALL \
                   SELECT 'alert ' || rule FROM alerts UNION ALL SELECT 'judged ' || pipeline FROM anomaly_watermarks";

    evaluator.evaluate_under(&lost, later).await;
    assert_eq!(lines(&database, written).await, ["run running"]);
    assert_eq!(evaluator.store.pipelines().await.expect("a database"), before, "the revision is unchanged");
    evaluator.evaluate_under(&held, later).await;
    assert_eq!(lines(&database, written).await, ["run lost", "alert threshold", "judged default"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_raise_one_alert() {
    let database = Database::postgres().await;
    let second = start(Database::existing(database.url.clone())).await;
    let first = start(database).await;
    first.store_runs(RUNS, &[quality(50)]).await;
    let fired = alert(&second, "THRESHOLD", "FIRING").await;
    // The server with the lease stops; the other one continues with the same alert.
    first.stop().await;
    second
        .store_runs(RUNS, &[with(quality(0), json!({"geocoding_attempts": 9000, "geocoding_successes": 9000}))])
        .await;
    assert_eq!(alert(&second, "THRESHOLD", "RESOLVED").await["id"], fired["id"]);
    assert_eq!(alerts(&second).await.len(), 1);
    second.stop().await;
}

async fn silence_ends_at_its_expiry(database: Database) {
    let server = start(database).await;
    let silence =
        "mutation($until: DateTime!, $pipeline: String, $reason: String!) { silenceAlerts(pipeline: $pipeline,
        rule: THRESHOLD, label: \"team=maps\", until: $until, author: \"ada\", reason: $reason) {
        id rule pipeline label until author reason } }";
    let until = ago(-TimeDelta::hours(1));
    let made = server.data(silence, json!({"until": until, "pipeline": "default", "reason": "moving house"})).await;
    let made = &made["silenceAlerts"];
    assert_eq!(
        (&made["rule"], &made["label"], &made["until"]),
        (&json!("THRESHOLD"), &json!("team=maps"), &json!(until))
    );
    for (variables, code) in [
        (json!({"until": ago(TimeDelta::hours(1)), "reason": "x"}), "BAD_USER_INPUT"),
        (json!({"until": until, "reason": " "}), "BAD_USER_INPUT"),
        (json!({"until": until, "pipeline": "nowhere", "reason": "x"}), "PIPELINE_NOT_FOUND"),
    ] {
        assert_eq!(server.error_code(silence, variables.clone()).await, code, "{variables}");
    }
    let list = "{ alertSilences { id reason } }";
    let expect = json!([{"id": made["id"], "reason": "moving house"}]);
    assert_eq!(server.data(list, json!({})).await["alertSilences"], expect);
    let end = "mutation($id: ID!) { endAlertSilence(id: $id) }";
    assert_eq!(server.data(end, json!({"id": made["id"]})).await["endAlertSilence"], true);
    assert_eq!(server.data(end, json!({"id": made["id"]})).await["endAlertSilence"], false, "once");
    assert_eq!(server.data(list, json!({})).await["alertSilences"], json!([]));
    server.stop().await;
}
