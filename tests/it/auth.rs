use std::fs::File;
use std::process::Stdio;

use pipewatch::config::{Flags, Secret};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::server::{Process, answer, program};
use crate::support::{Database, Server, in_time, run};

const TOKEN: &str = "s3cr3t~of/the.test+=";
const OTHER_TOKEN: &str = "another-token-of-the-test";
const IN_QUERY: &str = "access_token=s3cr3t~of%2Fthe.test%2B%3D";
const PLAIN: &str = "/api/v1/ws/monitoring/pipeline-status";
const STREAM: &str = "/api/v1/monitoring/pipeline-status/stream";

async fn server() -> Server {
    let tokens = Some(Secret::list(&format!("{OTHER_TOKEN},{TOKEN}")));
    Server::start_with(Database::sqlite(), Flags { tokens, ..Flags::default() }).await
}

/// The status of a response. The body is not awaited, since it may be a stream.
async fn status(server: &Server, (method, path, accept): (Method, &str, &str), authorization: Option<&str>) -> u16 {
    let mut request = server.client.request(method.clone(), format!("{}{path}", server.url));
    request = request.header(header::ACCEPT, accept);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if method == Method::POST {
        let body = if path.starts_with("/graphql") { json!({"query": "{ pipelines { key } }"}) } else { run("a") };
        request = request.json(&body);
    }
    let response = in_time("a response", request.send()).await.expect("a response");
    let status = response.status().as_u16();
    if status == 401 {
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer", "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], "UNAUTHORIZED", "{path}");
        let remedy = problem["detail"].as_str().expect("words");
        assert!(remedy.contains("Authorization: Bearer") && remedy.contains("access_token"), "{remedy}");
    }
    status
}

#[tokio::test]
async fn all_routes_except_health_and_pages_require_a_token() {
    let server = server().await;
    let (json, events) = ("application/json", "text/event-stream");
    let (good, other, basic) =
        (format!("bearer {TOKEN}"), format!("Bearer {OTHER_TOKEN}"), format!("Basic {OTHER_TOKEN}"));
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    // Concurrently, because responses to failed authentication are delayed.
    let mut refused = Vec::new();
    for (route, with_token) in [
        ((&get, "/api/v1/monitoring/pipeline-status", json), 200),
        ((&get, "/api/v1/monitoring/pipeline-status?pipeline=nowhere", json), 404),
        ((&get, STREAM, events), 200),
        ((&post, "/api/v1/source-runs", json), 201),
        // The item is a run, not a metric.
        ((&post, "/api/v1/data-quality-metrics", json), 422),
        ((&post, "/graphql", json), 200),
        ((&get, "/graphql?query=%7Bpipelines%7Bkey%7D%7D", json), 200),
        // graphql-sse, distinct connections and single connection mode.
        ((&post, "/graphql", events), 200),
        ((&get, "/graphql?query=%7Bpipelines%7Bkey%7D%7D", events), 200),
        ((&put, "/graphql", "*/*"), 201),
        ((&get, "/graphql?token=none", events), 404),
        ((&post, "/graphql?token=none", json), 404),
        ((&Method::DELETE, "/graphql?token=none&operationId=1", json), 404),
        // This server does not support single connection mode and answers any authenticated client so.
        ((&get, "/metrics", "*/*"), 404),
        ((&get, "/api/openapi.json", json), 200),
        ((&get, "/badge/default.svg", "image/*"), 200),
    ] {
        let (method, path, accept) = route;
        let ask =
            async |path: &str, authorization| status(&server, (method.clone(), path, accept), authorization).await;
        let and = |query: &str| format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
        for authorization in [None, Some("Bearer wrong"), Some(basic.as_str()), Some(OTHER_TOKEN)] {
            refused.push((route, path.to_owned(), authorization));
        }
        refused.push((route, and("access_token=wrong"), None));
        // The header takes precedence.
        refused.push((route, and(IN_QUERY), Some("Bearer wrong")));
        for authorization in [other.as_str(), good.as_str()] {
            // The repeated report is stored again: it has no id.
            assert_eq!(ask(path, Some(authorization)).await, with_token, "{method} {path} {accept}");
        }
        assert_eq!(ask(&and(IN_QUERY), None).await, with_token, "{method} {path} {accept}");
    }
    let refused = refused.iter().map(async |((method, _, accept), path, authorization)| {
        let status = status(&server, ((*method).clone(), path, accept), *authorization).await;
        assert_eq!(status, 401, "{method} {path} {accept} {authorization:?}");
    });
    futures_util::future::join_all(refused).await;
    // Public routes: health, and pages without data.
    for path in ["/api/health", "/api/health/live", "/api/health/ready", "/", "/graphiql", "/api/docs"] {
        assert_eq!(status(&server, (get.clone(), path, json), None).await, 200, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn status_websocket_without_a_token_closes_with_4001() {
    let server = server().await;
    for query in ["", "?access_token=wrong", "?pipeline=nowhere"] {
        let mut socket = Socket::open(&server, &format!("{PLAIN}{query}"), None).await.expect("a handshake");
        assert_eq!(socket.end().await, Some(4001), "{query}");
    }
    assert_eq!(Socket::plain(&server, &format!("?{IN_QUERY}")).await.next().await["pipeline"], "default");
    assert_eq!(Events::open(&server, &format!("?{IN_QUERY}")).await.next().await.expect("an event").event, "status");
    server.stop().await;
}

#[tokio::test]
async fn graphql_ws_without_a_valid_token_closes_with_4403() {
    let server = server().await;
    let (good, wrong) = (format!("/graphql?{IN_QUERY}"), "/graphql?access_token=wrong");
    let bearer = format!("Bearer {TOKEN}");
    for (path, payload, is_good) in [
        ("/graphql", json!(null), false),
        ("/graphql", json!({}), false),
        ("/graphql", json!({"token": "wrong"}), false),
        ("/graphql", json!({"authorization": "Bearer wrong"}), false),
        ("/graphql", json!({"authorization": TOKEN}), false),
        ("/graphql", json!({"token": 1}), false),
        ("/graphql", json!({"token": TOKEN}), true),
        ("/graphql", json!({"authorization": bearer}), true),
        ("/graphql", json!({"Authorization": bearer}), true),
        (wrong, json!(null), false),
        (wrong, json!({"token": TOKEN}), true),
        (&good, json!(null), true),
        (&good, json!({"other": 1}), true),
        (&good, json!({"token": "wrong"}), false),
    ] {
        let mut socket = Socket::open(&server, path, Some("graphql-transport-ws")).await.expect("a handshake");
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong", "nothing is refused before it is asked for");
        socket.send(json!({"type": "connection_init", "payload": payload})).await;
        if is_good {
            assert_eq!(socket.next().await["type"], "connection_ack", "{path} {payload}");
            socket.subscribe("1", "subscription { pipelineStatusUpdates { revision } }").await;
            assert_eq!(socket.next().await["type"], "next", "{path} {payload}");
        } else {
            assert_eq!(socket.end().await, Some(4403), "{path} {payload}");
        }
    }
    let mut hasty = Socket::open(&server, "/graphql", Some("graphql-transport-ws")).await.expect("a handshake");
    hasty.subscribe("1", "{ pipelines { key } }").await;
    assert_eq!(hasty.end().await, Some(4401));
    server.stop().await;
}

#[tokio::test]
async fn replay_sends_its_token_and_tokens_are_never_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut command = program(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db", "--log", "trace"]);
    command
        .env("PIPEWATCH_TOKENS", format!("{OTHER_TOKEN}, {TOKEN}"))
        .stderr(Stdio::from(File::create(&log).expect("a log")));
    let server = Process::start(command);
    std::fs::write(folder.path().join("one.ndjson"), run("a").to_string()).expect("written");
    for (token, code, says) in [("", 64, "PIPEWATCH_TOKEN"), ("wrong", 1, "401"), (TOKEN, 0, "1 stored")] {
        let mut replay = program(folder.path());
        let output = replay.args(["replay", "one.ndjson", "--url", &server.url]).env("PIPEWATCH_TOKEN", token).output();
        let output = output.expect("the program");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says) && !said.contains("s3cr3t"), "{said}");
    }
    let client = crate::support::server::client();
    for token in [IN_QUERY, "access_token=s3cr3t~that.is.wrong"] {
        for path in ["/api/v1/monitoring/pipeline-status", "/graphql", "/nowhere", "/api/v1/source-runs", STREAM] {
            let request = client.get(format!("{}{path}?{token}", server.url)).header("authorization", "Bearer s3cr3t~");
            in_time("a response", request.send()).await.expect("a response");
            let request = client.get(format!("{}{path}?{token}&pipeline=-", server.url));
            in_time("a response", request.send()).await.expect("a response");
        }
        for path in ["/graphql", PLAIN] {
            let url = format!("{}{path}?{token}", server.url.replace("http", "ws"));
            let mut request =
                tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).expect("a URL");
            let protocol = "graphql-transport-ws".parse().expect("a header");
            request.headers_mut().insert("sec-websocket-protocol", protocol);
            drop(in_time("a handshake", tokio_tungstenite::connect_async(request)).await);
        }
    }
    assert_eq!(answer(client.get(format!("{}/api/health", server.url))).await.0, 200);
    assert_eq!(server.signal("TERM").code(), Some(0));
    let log = std::fs::read_to_string(log).expect("the log");
    assert!(log.contains("INFO") && !log.contains("s3cr3t"), "{log}");
}
