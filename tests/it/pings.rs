use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Database, Server, in_time};

on_both_databases! {
    pings_are_runs,
    run_id_pairs_start_and_end,
    start_without_run_id_is_ended_by_the_next_ping,
    body_is_the_log_whose_end_is_kept,
    log_changes_no_state,
    invalid_pings_are_refused_in_plain_text,
}

const RUNS: &str = "query ($source: String!) {
    ended: sourceRuns(pipeline: \"p\", source: $source) { nodes { ...run } }
    running: sourceRuns(pipeline: \"p\", source: $source, outcome: RUNNING) { nodes { ...run } }
}
fragment run on SourceRun { id state startedAt error log counts { name value } }";

/// The status and the body of a ping.
async fn ping(server: &Server, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = server.client.request(method, format!("{}/api/v1/ping/{path}", server.url)).body(body);
    let response = in_time("a response", request.send()).await.expect("a response");
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8", "{path}");
    assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    (response.status().as_u16(), in_time("a body", response.text()).await.expect("text"))
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    ping(server, Method::GET, path, "").await
}

async fn ok(server: &Server, path: &str) {
    assert_eq!(get(server, path).await, (200, "OK".to_owned()), "{path}");
}

/// The runs of a source of the pipeline `p`: those that ended, in order, then those in progress.
async fn runs_of(server: &Server, source: &str) -> Vec<Value> {
    let answer = server.graphql(RUNS, json!({"source": source})).await;
    let nodes = |name: &str| answer["data"][name]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes("ended").iter().rev().chain(nodes("running")).cloned().collect()
}

async fn runs(server: &Server) -> Vec<Value> {
    runs_of(server, "a").await
}

async fn states(server: &Server) -> Vec<Value> {
    runs(server).await.into_iter().map(|run| run["state"].clone()).collect()
}

async fn pings_are_runs(database: Database) {
    let server = Server::start(database).await;
    ok(&server, "p/a?counts.rows=5").await;
    ok(&server, "p/a/0").await;
    ok(&server, "p/a/3").await;
    ok(&server, "p/a/fail?create=1").await;
    assert_eq!(ping(&server, Method::POST, "p/a", "").await, (200, "OK".into()));
    assert_eq!(ping(&server, Method::HEAD, "p/a", "").await, (200, String::new()));
    let request = server.get("/api/v1/ping/p/a").header("pipewatch-counts", "rows=6, bytes=10");
    assert_eq!(in_time("a response", request.send()).await.expect("a response").status(), 200);
    assert_eq!(states(&server).await, ["OK", "OK", "FAILED", "FAILED", "OK", "OK", "OK"]);
    let runs = runs(&server).await;
    assert_eq!(runs[0]["counts"], json!([{"name": "rows", "value": 5}]));
    assert_eq!(runs[2]["error"], "exit code 3");
    assert_eq!(runs[6]["counts"], json!([{"name": "bytes", "value": 10}, {"name": "rows", "value": 6}]));
    ok(&server, "p/The%20Guardian%20%28NG%29%2F2").await;
    let sources = server.graphql("{ sources(pipeline: \"p\") { key } }", json!({})).await;
    assert_eq!(sources["data"]["sources"], json!([{"key": "The Guardian (NG)/2"}, {"key": "a"}]));
    server.stop().await;
}

async fn run_id_pairs_start_and_end(database: Database) {
    let server = Server::start(database).await;
    ok(&server, "p/a/start?rid=scheduled__2026-01-01T00:00:00%2B00:00").await;
    ok(&server, "p/a/start?rid=two").await;
    assert_eq!(states(&server).await, ["RUNNING", "RUNNING"]);
    for _ in 0..2 {
        // The second is a repetition, such as that of `curl --retry`.
        ok(&server, "p/a?rid=two").await;
        ok(&server, "p/a/7?rid=scheduled__2026-01-01T00:00:00%2B00:00").await;
        ok(&server, "p/a/start?rid=two").await;
    }
    let runs = runs(&server).await;
    let mut ended: Vec<_> = runs.iter().map(|run| (run["id"].as_str(), run["state"].as_str())).collect();
    ended.sort_unstable();
    let first = "scheduled__2026-01-01T00:00:00+00:00";
    assert_eq!(ended, [(Some(first), Some("FAILED")), (Some("two"), Some("OK"))]);
    assert!(runs.iter().all(|run| run["startedAt"].is_string()), "{runs:?}");
    let (status, text) = get(&server, "p/a/fail?rid=two").await;
    assert_eq!(status, 409);
    assert!(text.starts_with("rid: "), "{text}");
    // The end before the start, and the same id of another source.
    ok(&server, "p/a?rid=three").await;
    ok(&server, "p/a/start?rid=three").await;
    ok(&server, "p/b/fail?rid=two").await;
    assert_eq!(states(&server).await.len(), 3);
    server.stop().await;
}

async fn start_without_run_id_is_ended_by_the_next_ping(database: Database) {
    let server = Server::start(database).await;
    ok(&server, "p/a/start").await;
    ok(&server, "p/b").await;
    assert_eq!(states(&server).await, ["RUNNING"]);
    ok(&server, "p/a/1").await;
    let ended = runs(&server).await;
    assert_eq!((ended.len(), &ended[0]["state"], ended[0]["startedAt"].is_string()), (1, &json!("FAILED"), true));
    // Without a start, a ping is a run of its own.
    ok(&server, "p/a").await;
    ok(&server, "p/a").await;
    assert_eq!(states(&server).await, ["FAILED", "OK", "OK"]);
    // Runs that others started are not ended.
    let run = json!({"id": "other", "source": "a", "pipeline": "p", "outcome": "running"});
    server.store_runs("/api/v1/source-runs", &[run]).await;
    ok(&server, "p/a/start?rid=named").await;
    ok(&server, "p/a").await;
    let running = states(&server).await.into_iter().filter(|state| state == "RUNNING").count();
    assert_eq!(running, 2);
    // The latest of two starts is ended; a ping that arrives at the same time is a run of its own.
    ok(&server, "p/c/start").await;
    let pings = (0..4).map(|_| get(&server, "p/c"));
    for answer in futures_util::future::join_all(pings).await {
        assert_eq!(answer, (200, "OK".into()));
    }
    let of_c = runs_of(&server, "c").await;
    assert!(of_c.iter().all(|run| run["state"] == "OK") && of_c.len() == 4, "{of_c:?}");
    server.stop().await;
}

async fn body_is_the_log_whose_end_is_kept(database: Database) {
    let server = Server::start(database).await;
    assert_eq!(ping(&server, Method::POST, "p/a", "one\ntwo\n").await.0, 200);
    assert_eq!(ping(&server, Method::POST, "p/a/fail", vec![b'a', 0xff, 0, b'b']).await.0, 200);
    let output = format!("start{}end", "é".repeat(1 << 20));
    assert_eq!(ping(&server, Method::POST, "p/a/2", output).await.0, 200);
    let runs = runs(&server).await;
    assert_eq!(runs[0]["log"], "one\ntwo\n");
    assert_eq!(runs[1]["log"], "a\u{fffd}\u{fffd}b");
    let log = runs[2]["log"].as_str().expect("a log");
    assert!(log.ends_with("ééend") && !log.contains("start") && log.len() <= 16 * 1024 + 100, "{}", log.len());
    assert!(!log.starts_with('é'), "the cut is marked: {log:.40}");
    server.stop().await;
}

async fn log_changes_no_state(database: Database) {
    let server = Server::start(database).await;
    let (status, text) = ping(&server, Method::POST, "p/a/log", "early").await;
    assert_eq!(status, 404, "{text}");
    assert!(text.contains("/start"), "{text}");
    ok(&server, "p/a/start?rid=one").await;
    for line in ["first\n", "second\n"] {
        assert_eq!(ping(&server, Method::POST, "p/a/log?rid=one", line).await, (200, "OK".into()));
    }
    assert_eq!(ping(&server, Method::POST, "p/a/log?rid=two", "lost").await.0, 404);
    let before = runs(&server).await;
    assert_eq!((&before[0]["state"], &before[0]["log"]), (&json!("RUNNING"), &json!("first\nsecond\n")));
    // The end keeps the lines before it.
    assert_eq!(ping(&server, Method::POST, "p/a?rid=one", "third\n").await.0, 200);
    assert_eq!(ping(&server, Method::POST, "p/a?rid=one", "third\n").await.0, 200, "a repetition");
    assert_eq!(ping(&server, Method::POST, "p/a/log", "after\n").await.0, 200);
    let after = runs(&server).await;
    assert_eq!((&after[0]["state"], after.len()), (&json!("OK"), 1));
    assert_eq!(after[0]["log"], "first\nsecond\nthird\nafter\n");
    let output = "x".repeat(10_000);
    for _ in 0..4 {
        assert_eq!(ping(&server, Method::POST, "p/a/log", output.clone()).await.0, 200);
    }
    let log = runs(&server).await[0]["log"].as_str().expect("a log").to_owned();
    assert!(log.len() <= 16 * 1024 + 100 && log.ends_with('x') && !log.contains("first"), "{}", log.len());
    server.stop().await;
}

async fn invalid_pings_are_refused_in_plain_text(database: Database) {
    let server = Server::start(database).await;
    for (path, status, says) in [
        ("p/a/256", 404, "an exit code from 0 to 255"),
        ("p/a/success", 404, "start, fail, log"),
        ("p/a/b/c", 404, "no such route"),
        ("p", 404, "no such route"),
        ("P/a", 422, "pipeline: "),
        ("p/%20", 422, "source: "),
        ("p/a?rid=", 422, "rid: "),
        ("p/a?counts.rows=1.5", 400, "whole number"),
        ("p/a?counts.rows=9007199254740992", 422, "counts.rows"),
        ("p/a?counts.Rows=1", 422, "counts"),
        ("p/a?count.rows=5", 400, "counts.NAME"),
        ("p/a/start?counts.rows=5", 422, "counts"),
    ] {
        let (answered, text) = get(&server, path).await;
        assert_eq!(answered, status, "{path}: {text}");
        assert!(text.contains(says) && text.ends_with('\n') && !text.starts_with('{'), "{path}: {text}");
    }
    let (status, text) = ping(&server, Method::PUT, "p/a", "").await;
    assert_eq!((status, text.as_str()), (405, "/api/v1/ping/p/a does not support PUT\n"));
    let pipelines = server.graphql("{ pipelines { key } }", json!({})).await;
    assert_eq!(pipelines["data"]["pipelines"], json!([{"key": "default"}]), "nothing is stored");
    server.stop().await;
}

#[tokio::test]
async fn ok_is_sent_in_one_write() {
    let server = Server::start(Database::sqlite()).await;
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let request = format!("GET /api/v1/ping/p/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut buffer = vec![0; 4096];
    // Loopback delivers each write in one piece.
    let length = in_time("a response", stream.read(&mut buffer)).await.expect("a response");
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nOK"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn pings_need_a_token_where_tokens_are_set() {
    const TOKEN: &str = "a-token-of-the-test";
    let tokens = Some(pipewatch::config::Secret::list(TOKEN));
    let flags = pipewatch::config::Flags { tokens, ..pipewatch::config::Flags::default() };
    let server = Server::start_with(Database::sqlite(), flags).await;
    for path in ["p/a", "p/a/start", "p/a/nothing", "p/a?counts.rows=many", "p/a?access_token=wrong"] {
        let (status, text) = get(&server, path).await;
        assert_eq!(status, 401, "{path}: {text}");
        assert!(text.contains("Authorization: Bearer"), "{text}");
    }
    ok(&server, &format!("p/a?access_token={TOKEN}")).await;
    let request = server.get("/api/v1/ping/p/a").bearer_auth(TOKEN);
    assert_eq!(in_time("a response", request.send()).await.expect("a response").status(), 200);
    server.stop().await;
}
