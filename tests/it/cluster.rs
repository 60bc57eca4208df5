//! Several servers on one PostgreSQL database, notified by LISTEN/NOTIFY. Where only notifications are tested, polling
//! is disabled.

use std::collections::BTreeSet;
use std::time::Duration;

use pipewatch::clock::Clock;
use pipewatch::config::Flags;
use pipewatch::domain::alert::{AlertType, Finding, Policy, Rule, Subject, TrackedAlert, Verdict, advance};
use pipewatch::domain::severity::Severity;
use pipewatch::store::Store;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::server::{Process, answer};
use crate::support::{Database, Server, eventually, run, with};

const RUNS: &str = "/api/v1/source-runs";
const NEWS: &str = "/api/v1/source-runs?pipeline=news";

fn notifications_only() -> Flags {
    let never = || Some("1h".into());
    Flags {
        revision_poll_interval: Some(Duration::from_hours(1)),
        interval: never(),
        evaluation_interval: never(),
        ..Flags::default()
    }
}

/// Waits until exactly `number` connections listen, and none of `others` is among them.
async fn listeners(database: &Database, number: usize, others: &BTreeSet<i32>) -> BTreeSet<i32> {
    let connection = database.connect().await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let listeners = eventually("listeners", || async {
        let rows = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await;
        let pids = rows.ok()?.iter().map(|row| row.try_get_by_index(0)).collect::<Result<BTreeSet<i32>, _>>().ok()?;
        (pids.len() == number && pids.is_disjoint(others)).then_some(pids)
    })
    .await;
    connection.close().await.expect("closed");
    listeners
}

/// Two servers with LISTEN connections.
async fn pair(one: Flags, two: Flags) -> (Server, Server, BTreeSet<i32>) {
    let one = Server::start_with(Database::postgres().await, one).await;
    let first = listeners(&one.database, 1, &BTreeSet::new()).await;
    let two = Server::start_with(Database::existing(one.database.url.clone()), two).await;
    let both = listeners(&one.database, 2, &BTreeSet::new()).await;
    assert!(both.is_superset(&first), "the first connection stays open");
    (one, two, both)
}

/// Waits until a plain WebSocket receives this revision or a newer one.
async fn wait_for_revision(watcher: &mut Socket, revision: &Value) {
    while crate::support::revision(&watcher.next().await["revision"]) < crate::support::revision(revision) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_to_one_server_reaches_subscribers_of_another() {
    let (one, two, _) = pair(notifications_only(), notifications_only()).await;
    let mut plain = Socket::plain(&two, "").await;
    let mut events = Events::open(&two, "").await;
    let mut graphql = Socket::graphql(&two).await;
    graphql.subscribe("1", "subscription { pipelinesUpdates { key } }").await;
    for _ in 0..3 {
        let answer = one.store_runs(RUNS, &[run("a")]).await;
        let revision = &answer["revisions"]["default"];
        wait_for_revision(&mut plain, revision).await;
        while events.next().await.expect("an event").id != revision.as_str().expect("digits") {}
    }

    // A pipeline created through one server appears on the other, and disappears when it is removed.
    one.store_runs(NEWS, &[run("a")]).await;
    let has_news = |message: &Value| message["payload"]["data"]["pipelinesUpdates"].as_array().map(Vec::len) == Some(2);
    while !has_news(&graphql.next().await) {}
    let mut news = Socket::plain(&two, "?pipeline=news").await;
    assert_eq!(news.next().await["pipeline"], "news");
    one.data("mutation { removePipeline(pipeline: \"news\") }", json!({})).await;
    assert_eq!(news.end().await, Some(1000));
    while has_news(&graphql.next().await) {}
    drop((plain, events, graphql));
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_simultaneous_changes_reaches_the_other_server() {
    let (one, two, _) = pair(notifications_only(), notifications_only()).await;
    let runs: Vec<_> = (0..300).map(|number| with(run("a"), json!({"pipeline": format!("p{number}")}))).collect();
    one.store_runs(RUNS, &runs).await;
    eventually("the last of them", || async {
        let path = "/api/v1/monitoring/pipeline-status?pipeline=p299";
        (answer(two.get(path)).await.0 == 200).then_some(())
    })
    .await;
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_events_reach_subscribers_of_another_server() {
    // The first server evaluates as long as it runs.
    let evaluates = Flags { evaluation_interval: Some("100ms".into()), ..notifications_only() };
    let (one, two, _) = pair(evaluates, notifications_only()).await;
    let mut events = Events::open(&two, "").await;
    assert_eq!(events.next().await.expect("a status").event, "status");
    let mut graphql = Socket::graphql(&two).await;
    graphql.subscribe("1", "subscription { alertEvents(since: \"0\") { to } }").await;
    let bad = json!({"geocoding_attempts": 100, "geocoding_successes": 50});
    one.store_runs(RUNS, &[with(run("a"), bad)]).await;
    for expect in ["PENDING", "FIRING"] {
        assert_eq!(graphql.next().await["payload"]["data"]["alertEvents"]["to"], expect);
    }
    for expect in ["pending", "firing"] {
        let step = loop {
            let event = events.next().await.expect("an event");
            if event.event == "alert" {
                break event.json();
            }
        };
        assert_eq!(step["to"], expect);
    }
    drop((events, graphql));
    two.stop().await;
    one.stop().await;
}

/// Commits an event of a server alert, as another server would. No pipeline revision changes with it.
async fn add_server_alert(database: &Database) {
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    let finding = Finding {
        rule: Rule::Server,
        kind: AlertType::Server,
        subject: Subject::server("test"),
        verdict: Verdict::unhealthy(Severity::High),
        title: "It is in trouble".into(),
        message: "Check it.".into(),
    };
    let change = |open: &[TrackedAlert]| advance(open, &[finding], &Policy::default(), chrono::Utc::now());
    store.change_alerts(None, None, None, change).await.expect("a database").expect("no lease is needed");
    store.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_alert_events_reach_the_other_server() {
    let server = Server::start_with(Database::postgres().await, notifications_only()).await;
    listeners(&server.database, 1, &BTreeSet::new()).await;
    let mut graphql = Socket::graphql(&server).await;
    graphql.subscribe("1", "subscription { alertEvents(since: \"0\") { id rule } }").await;
    add_server_alert(&server.database).await;
    assert_eq!(graphql.next().await["payload"]["data"]["alertEvents"], json!({"id": "1", "rule": "SERVER"}));
    drop(graphql);
    server.stop().await;

    // The same for an event without a notification.
    let server = Server::start(Database::postgres().await).await;
    let mut graphql = Socket::graphql(&server).await;
    graphql.subscribe("1", "subscription { alertEvents(since: \"500\") { id } }").await;
    add_server_alert(&server.database).await;
    let later = "jsonb_build_object('id', event.id + 1000)";
    let copy = format!("SELECT (jsonb_populate_record(event, {later})).* FROM alert_events AS event WHERE id = 1");
    server.database.execute(&format!("INSERT INTO alert_events {copy}")).await;
    assert_eq!(graphql.next().await["payload"]["data"]["alertEvents"]["id"], "1001");
    drop(graphql);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_listen_connection_is_reopened() {
    let (one, two, mut listening) = pair(notifications_only(), notifications_only()).await;
    let mut plain = Socket::plain(&two, "").await;
    for _ in 0..2 {
        let pids: Vec<String> = listening.iter().map(i32::to_string).collect();
        let cut = format!("SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[{}]) AS pid", pids.join(","));
        one.database.execute_as_admin(&cut).await;
        // The notification may be sent while no connection listens; the server looks for missed changes when it
        // reconnects.
        let answer = one.store_runs(RUNS, &[run("a")]).await;
        wait_for_revision(&mut plain, &answer["revisions"]["default"]).await;
        listening = listeners(&one.database, 2, &listening).await;
        let answer = one.store_runs(RUNS, &[run("a")]).await;
        wait_for_revision(&mut plain, &answer["revisions"]["default"]).await;
    }
    drop(plain);
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missed_notification_is_found_and_the_listener_reconnects() {
    let flags = Flags { interval: Some("1h".into()), ..Flags::default() };
    let server = Server::start_with(Database::postgres().await, flags).await;
    let deaf = listeners(&server.database, 1, &BTreeSet::new()).await;
    let mut plain = Socket::plain(&server, "").await;
    let before = plain.next().await;
    server.database.execute("UPDATE pipelines SET revision = revision + 1").await;
    while plain.next().await["revision"] == before["revision"] {}
    listeners(&server.database, 1, &deaf).await;
    drop(plain);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_show_the_listen_connection() {
    let (database, folder) = (Database::postgres().await, tempfile::tempdir().expect("a folder"));
    let server = Process::serve(folder.path(), &database.url, &[]);
    let listens = async || server.metric("pipewatch_cluster_listener_connected").await > 0.5;
    eventually("the listen connection is up", || async { listens().await.then_some(()) }).await;
    let name = database.name();
    database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    database.execute_as_admin(&cut).await;
    eventually("the listen connection is down", || async { (!listens().await).then_some(()) }).await;
    database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    eventually("the listen connection is up again", || async { listens().await.then_some(()) }).await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn since_revision_never_gets_an_older_revision() {
    let (one, two, _) = pair(notifications_only(), notifications_only()).await;
    let status = "/api/v1/monitoring/pipeline-status";
    let update = "subscription ($r: String) { pipelineStatusUpdates(sinceRevision: $r) { revision } }";
    let mut member = Socket::graphql(&two).await;
    let number = |text: &Value| crate::support::revision(text);
    for round in 0..5 {
        let answer = one.store_runs(RUNS, &[run("a")]).await;
        let revision = answer["revisions"]["default"].clone();
        let variables = json!({"r": revision});
        // Each client immediately asks the other server, which may not have received the notification yet.
        let seen = match round % 3 {
            0 => {
                let query = "query ($r: String) { pipelineStatus(sinceRevision: $r) { revision } }";
                two.data(query, variables).await["pipelineStatus"]["revision"].clone()
            }
            1 => {
                let tag = format!("W/\"{}-0\"", revision.as_str().expect("digits"));
                response_of(two.get(status).header("if-none-match", tag)).await["revision"].clone()
            }
            _ => {
                let payload = json!({"query": update, "variables": variables});
                let id = round.to_string();
                member.send(json!({"type": "subscribe", "id": id, "payload": payload})).await;
                member.next().await["payload"]["data"]["pipelineStatusUpdates"]["revision"].clone()
            }
        };
        assert!(number(&seen) >= number(&revision), "{seen} after {revision} in round {round}");
    }
    // Subscribers of one topic, whatever revision they have; a server does not wait for a revision that was never
    // assigned.
    for since in ["1", "9999999999999999"] {
        let mut socket = Socket::graphql(&two).await;
        let payload = json!({"query": update, "variables": {"r": since}});
        socket.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
        assert_eq!(socket.next().await["type"], "next");
    }
    drop(member);
    two.stop().await;
    one.stop().await;
}

async fn response_of(request: reqwest::RequestBuilder) -> Value {
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    body
}
