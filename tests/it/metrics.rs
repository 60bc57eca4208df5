use std::time::Instant;

use crate::support::server::{Process, answer, client};
use crate::support::{eventually, in_time};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_work_and_idle_pipelines_compute_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &["--interval", "200ms"]);
    let report = client().post(format!("{}/api/v1/source-runs?pipeline=idle", server.url));
    let report = report.json(&serde_json::json!([{"source": "a", "timestamp": crate::support::now()}, {}]));
    assert_eq!(answer(report).await.0, 207);
    assert!((server.metric("pipewatch_reports_total").await - 2.0).abs() < 0.1);
    let status = client().get(format!("{}/api/v1/monitoring/pipeline-status?pipeline=idle", server.url));
    assert_eq!(answer(status).await.0, 200);

    let (begun, before) = (Instant::now(), server.metric("pipewatch_snapshots_total").await);
    let stream = format!("{}/api/v1/monitoring/pipeline-status/stream", server.url);
    let mut stream = in_time("a response", client().get(stream).send()).await.expect("a stream");
    assert!((server.metric("pipewatch_connections").await - 1.0).abs() < 0.1);
    let mut text = String::new();
    while text.matches("event: status").count() < 8 {
        let chunk = in_time("an event", stream.chunk()).await.expect("a complete chunk").expect("an open stream");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    let computed = server.metric("pipewatch_snapshots_total").await - before;
    // One at the beginning, unless the metrics have computed it, and one per interval. It would be twice as many with those of the idle pipeline.
    let most = begun.elapsed().as_secs_f64() / 0.2 + 2.0;
    assert!((7.0..=most).contains(&computed), "{computed} snapshots, and not {most} at most");
    assert!(server.metric("pipewatch_messages_sent_total").await >= 7.0);
    drop(stream);
    assert_eq!(server.signal("TERM").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_show_the_writer_and_the_pools() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let report = client().post(format!("{}/api/v1/source-runs", server.url)).json(&crate::support::run("a"));
    assert_eq!(answer(report).await.0, 201);
    assert!((server.metric("pipewatch_commit_seconds_count").await - 1.0).abs() < 0.1);
    eventually("the writer's one connection and the first reader", || async {
        (server.metric("pipewatch_pool_connections").await > 1.5).then_some(())
    })
    .await;
    assert!(server.metric("pipewatch_writer_queue").await < 0.5);
    assert_eq!(server.signal("TERM").code(), Some(0));
}
