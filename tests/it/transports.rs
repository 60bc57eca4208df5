use pipewatch::config::Flags;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::clients::{Events, Socket};
use crate::support::server::answer;
use crate::support::{Database, Server, in_time, run};

const RUNS: &str = "/api/v1/source-runs";
const STATUS: &str = "/api/v1/monitoring/pipeline-status";

on_both_databases! {
    polling_returns_304_when_unchanged,
    event_stream_sends_the_status_immediately,
    status_websocket_sends_immediately_and_ignores_incoming_messages,
    graphql_ws_runs_queries_and_subscriptions,
    graphql_ws_reports_errors,
    completed_id_can_be_reused,
    unknown_pipeline_is_not_found,
    removing_a_pipeline_ends_its_streams,
    listed_sources_can_be_limited,
}

/// Starts a server whose interval is longer than a test, so that every further status is caused by a change.
async fn start(database: Database) -> Server {
    Server::start_with(database, Flags { interval: Some("1h".into()), ..Flags::default() }).await
}

async fn polling_returns_304_when_unchanged(database: Database) {
    let server = start(database).await;
    let first = in_time("a response", server.get(STATUS).send()).await.expect("a response");
    let etag = first.headers()["etag"].clone();
    assert_eq!(first.headers()["cache-control"], "no-cache");
    let again = server.get(STATUS).header("if-none-match", &etag).send().await.expect("a response");
    assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &etag));
    assert!(again.headers().contains_key("x-status-timestamp"));
    assert_eq!(again.bytes().await.expect("a body").len(), 0);
    server.store_runs(RUNS, &[run("a")]).await;
    let changed = server.get(STATUS).header("if-none-match", &etag).send().await.expect("a response");
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], etag);
    server.stop().await;
}

async fn event_stream_sends_the_status_immediately(database: Database) {
    let server = start(database).await;
    let mut events = Events::open(&server, "").await;
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(events.response.headers()[name], value);
    }
    assert!(!events.response.headers().contains_key("content-length"));
    let first = events.next().await.expect("an event");
    assert_eq!((first.event.as_str(), first.retry.as_str()), ("status", "3000"));
    assert_eq!(first.json()["revision"], json!(first.id));
    server.store_runs(RUNS, &[run("a")]).await;
    let second = events.next().await.expect("an event");
    assert_eq!(second.retry, "", "the retry time is sent once");
    assert_eq!(second.json()["scraping_health"]["total_sources"], 1);
    drop(events);
    server.stop().await;
}

async fn status_websocket_sends_immediately_and_ignores_incoming_messages(database: Database) {
    let server = start(database).await;
    let mut socket = Socket::plain(&server, "").await;
    assert_eq!(socket.next().await["overall_status"], "pending");
    socket.send_raw(Message::text("hello")).await;
    socket.send_raw(Message::binary(vec![0, 1, 2])).await;
    server.store_runs(RUNS, &[run("a")]).await;
    assert_eq!(socket.next().await["scraping_health"]["total_sources"], 1);
    drop(socket);
    server.stop().await;
}

async fn graphql_ws_runs_queries_and_subscriptions(database: Database) {
    let server = start(database).await;
    let mut socket = Socket::graphql(&server).await;
    socket.subscribe("q", "{ pipelineStatus { overallStatus } }").await;
    let data = json!({"data": {"pipelineStatus": {"overallStatus": "PENDING"}}});
    assert_eq!(socket.next().await, json!({"id": "q", "type": "next", "payload": data}));
    assert_eq!(socket.next().await, json!({"id": "q", "type": "complete"}));
    socket.subscribe("s", "subscription { pipelineStatusUpdates { scrapingHealth { totalSources } } }").await;
    assert_eq!(socket.next().await["payload"]["data"]["pipelineStatusUpdates"]["scrapingHealth"]["totalSources"], 0);
    server.store_runs(RUNS, &[run("a")]).await;
    assert_eq!(socket.next().await["payload"]["data"]["pipelineStatusUpdates"]["scrapingHealth"]["totalSources"], 1);
    socket.send(json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(socket.next().await, json!({"type": "pong", "payload": {"n": 1}}));
    drop(socket);
    server.stop().await;
}

async fn graphql_ws_reports_errors(database: Database) {
    let server = start(database).await;
    for protocol in [None, Some("graphql-ws"), Some("GRAPHQL-TRANSPORT-WS")] {
        assert_eq!(Socket::open(&server, "/graphql", protocol).await.map(drop), Err(400), "{protocol:?}");
    }
    for protocol in ["graphql-transport-ws", "graphql-ws, graphql-transport-ws"] {
        assert!(Socket::open(&server, "/graphql", Some(protocol)).await.is_ok(), "{protocol}");
    }
    let mut silent = Socket::open(&server, "/graphql", Some("graphql-transport-ws")).await.expect("open");
    assert_eq!(silent.end().await, Some(4408), "no initialisation in time");
    let mut socket = Socket::graphql(&server).await;
    for query in
        ["{", "{ nothing }", "subscription { nothing }", "query A { pipelines { key } } query B { pipelines { key } }"]
    {
        socket.subscribe("1", query).await;
        let answer = socket.next().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!("1")), "{query}");
        assert!(answer["payload"][0]["message"].is_string(), "{query}");
    }
    socket.send_raw(Message::binary(vec![1])).await;
    assert_eq!(socket.end().await, Some(4400));
    server.stop().await;
}

async fn completed_id_can_be_reused(database: Database) {
    let server = start(database).await;
    let mut socket = Socket::graphql(&server).await;
    let watch = "subscription { pipelineStatusUpdates { revision } }";
    socket.subscribe("1", watch).await;
    assert_eq!(socket.next().await["type"], "next");
    socket.send(json!({"type": "complete", "id": "1"})).await;
    server.store_runs(RUNS, &[run("a")]).await;
    socket.subscribe("1", watch).await;
    assert_eq!(socket.next().await["type"], "next", "no complete message precedes it");
    socket.subscribe("1", watch).await;
    assert_eq!(socket.end().await, Some(4409));
    server.stop().await;
}

async fn unknown_pipeline_is_not_found(database: Database) {
    let server = start(database).await;
    for path in [STATUS, "/api/v1/monitoring/pipeline-status/stream"] {
        for key in ["nothing", "No%20Key"] {
            let (status, problem) = answer(server.get(&format!("{path}?pipeline={key}"))).await;
            assert_eq!((status, &problem["code"]), (404, &json!("PIPELINE_NOT_FOUND")), "{path} {key}");
        }
    }
    let path = "/api/v1/ws/monitoring/pipeline-status?pipeline=nothing";
    assert_eq!(Socket::open(&server, path, None).await.map(drop), Err(404));
    let code = server.error_code("{ pipelineStatus(pipeline: \"nothing\") { revision } }", json!({})).await;
    assert_eq!(code, "PIPELINE_NOT_FOUND");
    let mut socket = Socket::graphql(&server).await;
    socket.subscribe("1", "subscription { pipelineStatusUpdates(pipeline: \"nothing\") { revision } }").await;
    let answer = socket.next().await;
    assert_eq!(answer["payload"][0]["extensions"]["code"], "PIPELINE_NOT_FOUND", "{answer}");
    drop(socket);
    server.stop().await;
}

async fn removing_a_pipeline_ends_its_streams(database: Database) {
    let server = start(database).await;
    server.store_runs("/api/v1/source-runs?pipeline=news", &[run("a")]).await;
    let mut events = Events::open(&server, "?pipeline=news").await;
    let mut plain = Socket::plain(&server, "?pipeline=news").await;
    let mut graphql = Socket::graphql(&server).await;
    graphql.subscribe("1", "subscription { pipelineStatusUpdates(pipeline: \"news\") { revision } }").await;
    assert!(events.next().await.is_some());
    assert_eq!(plain.next().await["pipeline"], "news");
    assert_eq!(graphql.next().await["type"], "next");
    server.data("mutation { removePipeline(pipeline: \"news\") }", json!({})).await;
    assert_eq!(events.next().await, None);
    assert_eq!(plain.end().await, Some(1000));
    assert_eq!(graphql.next().await, json!({"id": "1", "type": "complete"}));
    assert_eq!(answer(server.get(&format!("{STATUS}?pipeline=news"))).await.0, 404);
    let remove = "mutation { removePipeline(pipeline: \"news\") }";
    assert_eq!(server.error_code(remove, json!({})).await, "PIPELINE_NOT_FOUND");
    let remove = "mutation { removePipeline(pipeline: \"default\") }";
    assert_eq!(server.error_code(remove, json!({})).await, "DEFAULT_PIPELINE_STAYS");
    server.store_runs("/api/v1/source-runs?pipeline=news", &[run("b")]).await;
    let status = server.status("?pipeline=news").await;
    assert_eq!(status["scraping_health"]["sources"][0]["source"], "b", "the source reappears without history");
    server.stop().await;
}

async fn listed_sources_can_be_limited(database: Database) {
    let server = start(database).await;
    let runs: Vec<_> = (0..60).map(|number| run(&format!("s{number:02}"))).collect();
    server.store_runs(RUNS, &runs).await;
    for (query, listed, omitted) in [("", 50, 10), ("?sources=all", 60, 0), ("?sources=none", 0, 60)] {
        let polled = server.status(query).await;
        let event = Events::open(&server, query).await.next().await.expect("an event").json();
        let message = Socket::plain(&server, query).await.next().await;
        for status in [polled, event, message] {
            let health = &status["scraping_health"];
            assert_eq!(health["sources"].as_array().map(Vec::len), Some(listed), "{query}");
            assert_eq!(health["sources_omitted"], omitted, "{query}");
        }
    }
    assert_eq!(answer(server.get(&format!("{STATUS}?sources=some"))).await.0, 400);
    let query = "{ pipelineStatus { scrapingHealth { sourcesOmitted sources { source } all: sources(all: true) { source } } } }";
    let health = server.data(query, json!({})).await["pipelineStatus"]["scrapingHealth"].clone();
    let length = |name: &str| health[name].as_array().map(Vec::len);
    assert_eq!((length("sources"), length("all"), &health["sourcesOmitted"]), (Some(50), Some(60), &json!(10)));
    server.stop().await;
}

#[tokio::test]
async fn event_stream_announces_connection_close() {
    let server = start(Database::sqlite()).await;
    let plain = Events::open(&server, "").await.response;
    let query = json!({"query": "subscription { pipelineStatusUpdates { revision } }"});
    let graphql = server.post("/graphql").header("accept", "text/event-stream").json(&query).send();
    for response in [plain, graphql.await.expect("a response")] {
        assert_eq!(response.headers().get("connection").and_then(|value| value.to_str().ok()), Some("close"));
    }
    server.stop().await;
}
