use futures_util::future::join_all;
use serde_json::json;

use crate::support::clients::Socket;
use crate::support::server::{Process, answer, client};
use crate::support::{eventually, run};

/// The default limits per connection and per server.
const CONNECTIONS: usize = 100;
const OPERATIONS: usize = 100;

fn operation(number: usize) -> String {
    format!("subscription {{ of{number}: pipelineStatusUpdates {{ revision }} }}")
}

/// Reads one message for each operation of each connection; all have this revision, if one is given.
async fn round(sockets: &mut [Socket], of: Option<&str>) {
    join_all(sockets.iter_mut().enumerate().map(async |(connection, socket)| {
        let mut ids = Vec::with_capacity(OPERATIONS);
        for _ in 0..OPERATIONS {
            let message = socket.next().await;
            let id: usize =
                message["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{message}"));
            let status = &message["payload"]["data"][format!("of{}", connection * OPERATIONS + id)];
            assert!(status["revision"].is_string(), "{message}");
            assert!(of.is_none_or(|revision| status["revision"] == revision), "{message}");
            ids.push(id);
        }
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..OPERATIONS), "each operation receives one message");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_distinct_operations_run_once_per_snapshot_and_no_more_are_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    // The intervals are longer than the test, so every snapshot is caused by a change. While the test reads from one
    // connection, the others answer no pings.
    let arguments = ["--interval", "1h", "--evaluation-interval", "1h", "--ping-after", "1h", "--write-timeout", "1h"];
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &arguments);
    let counted = async || {
        let executions = server.metric("pipewatch_subscription_executions_total").await;
        (executions.to_string(), server.metric("pipewatch_topics").await.to_string())
    };
    let expect = |executions: usize, groups: usize| (executions.to_string(), groups.to_string());
    let mut sockets = join_all((0..CONNECTIONS).map(|_| Socket::graphql_at(&server.url))).await;
    for (connection, socket) in sockets.iter_mut().enumerate() {
        for id in 0..OPERATIONS {
            socket.subscribe(&id.to_string(), &operation(connection * OPERATIONS + id)).await;
        }
    }
    round(&mut sockets, None).await;
    let all = CONNECTIONS * OPERATIONS;
    assert_eq!(counted().await, expect(all, all), "executed once");

    let mut late = Socket::graphql_at(&server.url).await;
    late.subscribe("1", &operation(all)).await;
    let refused = late.next().await;
    assert_eq!(refused["type"], "error", "{refused}");
    let message = refused["payload"][0]["message"].as_str().expect("words");
    assert!(message.contains("max_distinct_subscriptions") && message.contains(&all.to_string()), "{message}");
    late.subscribe("1", &operation(0)).await;
    assert_eq!(late.next().await["type"], "next", "an operation with other subscribers is accepted");
    late.send(json!({"type": "complete", "id": "1"})).await;

    for change in 1..=2 {
        let report = client().post(format!("{}/api/v1/source-runs", server.url)).json(&run("a"));
        let (status, answer) = answer(report).await;
        assert_eq!(status, 201, "{answer}");
        round(&mut sockets, answer["revisions"]["default"].as_str()).await;
        assert_eq!(counted().await, expect(all * (change + 1), all), "each operation runs once per snapshot");
    }
    drop((sockets, late));
    eventually("topics end with their last subscriber", || async { (counted().await.1 == "0").then_some(()) }).await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}
