use std::collections::BTreeMap;

use serde_json::json;

use crate::support::clients::Socket;
use crate::support::server::{Process, client};
use crate::support::{in_time, run, with};

/// The number of WebSocket connections, and of distinct subscriptions on each.
const SOCKETS: usize = 4;
const SUBSCRIPTIONS: usize = 50;
/// The number of commits, each of which could have added an event.
const COMMITS: usize = 5;

/// Reports a run with some passed items.
async fn report(server: &Process, attempts: u32, passed: u32) {
    let item = with(run("punch"), json!({"geocoding_attempts": attempts, "geocoding_successes": passed}));
    let request = client().post(format!("{}/api/v1/source-runs", server.url)).json(&item);
    assert_eq!(in_time("an answer", request.send()).await.expect("an answer").status(), 201);
}

/// Reads the next event of each subscription of a WebSocket; all have the same number.
async fn next_of_all(socket: &mut Socket) -> (String, String) {
    let mut numbers = BTreeMap::new();
    for _ in 0..SUBSCRIPTIONS {
        let message = socket.next().await;
        let event = &message["payload"]["data"]["event"];
        let state = event["to"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned();
        let again = numbers.insert(message["id"].to_string(), (event["id"].to_string(), state));
        assert!(again.is_none(), "one event for each subscription at a time: {message}");
    }
    let mut seen: Vec<(String, String)> = numbers.into_values().collect();
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_query_per_commit_serves_every_subscription_to_alert_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &["--evaluation-interval", "100ms"]);
    report(&server, 100, 100).await;
    let mut sockets = Vec::new();
    for socket in 0..SOCKETS {
        let mut opened = Socket::graphql_at(&server.url).await;
        for id in 0..SUBSCRIPTIONS {
            let arguments = if id % 2 == 0 { "since: $since, pipeline: \"default\"" } else { "since: $since" };
            let payload = json!({
                "query": format!("subscription S{socket}x{id}($since: ID) {{ event: alertEvents({arguments}) {{ id to }} }}"),
                "variables": {"since": "0"},
            });
            opened.send(json!({"type": "subscribe", "id": id.to_string(), "payload": payload})).await;
        }
        sockets.push(opened);
    }
    report(&server, 1_000, 0).await;
    for socket in &mut sockets {
        assert_eq!(next_of_all(socket).await.1, "PENDING");
        assert_eq!(next_of_all(socket).await.1, "FIRING");
    }
    let before = server.metric("pipewatch_alert_event_queries_total").await;
    for _ in 0..COMMITS {
        report(&server, 100, 0).await;
    }
    report(&server, 90_000, 90_000).await;
    for socket in &mut sockets {
        assert_eq!(next_of_all(socket).await.1, "RESOLVED");
    }
    let queries = server.metric("pipewatch_alert_event_queries_total").await - before;
    println!("{queries} queries for {} subscriptions", SOCKETS * SUBSCRIPTIONS);
    // Each report and each evaluation result is a commit.
    assert!((1.0..100.0).contains(&queries), "{queries}");
}
