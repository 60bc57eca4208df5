use std::collections::BTreeSet;

use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pipewatch::http::openapi;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::server::{Process, client_builder, program};
use crate::support::{Database, in_time, now, run, with};

const STATUS: &str = "/api/v1/monitoring/pipeline-status";
const STREAM: &str = "/api/v1/monitoring/pipeline-status/stream";
const SOCKET: &str = "/api/v1/ws/monitoring/pipeline-status";
const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";
const PING: &str = "/api/v1/ping/{pipeline}/{source}";
const SIGNAL: &str = "/api/v1/ping/{pipeline}/{source}/{signal}";
const LINEAGE: &str = "/api/v1/lineage";
const LINEAGE_BATCH: &str = "/api/v1/lineage/batch";
const JSON: (&str, &str) = ("content-type", "application/json");
const UPGRADE: [(&str, &str); 3] =
    [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "cGlwZXdhdGNoLXJlYWRtZQ==")];

#[test]
fn openapi_json_is_current() {
    let committed = include_str!("../../openapi.json");
    assert!(committed == openapi::json(), "run `make schema` and commit openapi.json");
}

/// The API description with `additionalProperties: false`: an undocumented field is an error.
struct Description(Value);

impl Description {
    fn new() -> Self {
        let mut json: Value = serde_json::from_str(&openapi::json()).expect("JSON");
        for schema in json["components"]["schemas"].as_object_mut().expect("schemas").values_mut() {
            if schema.get("properties").is_some() {
                schema["additionalProperties"] = json!(false);
            }
        }
        Self(json)
    }

    /// The violations of a schema by a value.
    fn violations(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = with(schema.clone(), json!({"components": self.0["components"]}));
        let validator = jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema");
        validator.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect()
    }

    fn assert_is(&self, name: &str, value: &Value) {
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        assert_eq!(self.violations(&schema, value), [""; 0], "{name}: {value}");
    }

    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().expect("paths").iter();
        paths.flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(|(method, it)| (path.as_str(), method.as_str(), it))
        })
    }
}

#[test]
fn examples_match_their_schemas() {
    let description = Description::new();
    let mut examples = 0;
    for (name, schema) in description.0["components"]["schemas"].as_object().expect("schemas") {
        if let Some(example) = schema.get("example") {
            description.assert_is(name, example);
            examples += 1;
        }
    }
    for (path, _, operation) in description.operations() {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            for (content_type, content) in response["content"].as_object().into_iter().flatten() {
                if let Some(example) = content.get("example") {
                    let faults = description.violations(&content["schema"], example);
                    assert_eq!(faults, [""; 0], "{path} {status} {content_type}");
                    if content_type == "application/problem+json" {
                        assert_eq!(example["status"].as_u64(), status.parse().ok(), "{path} {status}");
                    }
                    examples += 1;
                }
            }
        }
    }
    assert!(examples > 30, "{examples}");
}

/// A running server whose responses are all validated against the description.
struct CheckedServer {
    server: Process,
    client: Client,
    description: Description,
    seen: BTreeSet<(String, String, u16)>,
}

impl CheckedServer {
    /// Status and body of a response, which must match the description. For a stream, the body is its first event.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, HeaderMap, Value) {
        let name = |name: &str| name.parse::<HeaderName>().expect("a name");
        let headers = headers.iter().map(|(key, value)| (name(key), value.parse::<HeaderValue>().expect("a value")));
        let request = self.client.request(method.clone(), format!("{}{path}", self.server.url));
        let request = request.headers(headers.collect()).body(body.to_owned());
        let mut response = in_time("a response", request.send()).await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default();
        let mut bytes = Vec::new();
        if status != 101 {
            while let Some(chunk) = in_time("a body", response.chunk()).await.expect("a complete chunk") {
                bytes.extend_from_slice(&chunk);
                // One event is enough.
                if essence == "text/event-stream" && bytes.windows(2).any(|end| end == b"\n\n") {
                    break;
                }
            }
        }
        let text = String::from_utf8(bytes).expect("text");

        let route = match path.split('?').next().expect("a path") {
            badge if badge.starts_with("/badge/") => "/badge/{pipeline}.svg",
            ping if ping.starts_with("/api/v1/ping/") && ping.split('/').count() == 6 => PING,
            ping if ping.starts_with("/api/v1/ping/") => SIGNAL,
            route => route,
        };
        let verb = method.as_str().to_lowercase();
        let what = format!("{verb} {path} {status}: {text}");
        let described = &self.description.0["paths"][route][&verb]["responses"][status.to_string()];
        assert!(described.is_object(), "missing in the description: {what}");
        self.seen.insert((route.to_owned(), verb, status));
        for name in described["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(headers.contains_key(name), "{name} is described: {what}");
        }
        let schema = &described["content"][essence]["schema"];
        assert_eq!(schema.is_object(), !text.is_empty(), "{essence:?} is described where there is a body: {what}");
        let value = match essence {
            "application/json" | "application/problem+json" => serde_json::from_str(&text).expect(&what),
            _ => Value::String(text),
        };
        if schema.is_object() {
            assert_eq!(self.description.violations(schema, &value), [""; 0], "{what}");
        }
        (status, headers, value)
    }

    /// Like `ask`, for an expected status.
    async fn expect(
        &mut self,
        expect: u16,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Value {
        let body = if body.is_string() { body.as_str().unwrap_or_default().to_owned() } else { body.to_string() };
        let (status, _, value) = self.ask(method, path, headers, &body).await;
        assert_eq!(status, expect, "{path} {headers:?} {value}");
        value
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_and_descriptions_match_in_both_directions() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::postgres().await);
    let mut command = program(folder.path());
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &database.url,
        "--interval",
        "200ms",
        "--log",
        "off",
    ]);
    command.env("PIPEWATCH_TOKENS", "a-token-of-the-test");
    let server = Process::start(command);
    let bearer = HeaderValue::from_static("Bearer a-token-of-the-test");
    let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
    let client = client_builder().default_headers(headers).build().expect("a client");
    let mut it = CheckedServer { server, client, description: Description::new(), seen: BTreeSet::new() };
    reports(&mut it).await;
    pings(&mut it).await;
    lineage(&mut it).await;
    status_routes(&mut it).await;
    health_and_metrics(&mut it).await;
    cross_site_requests(&mut it).await;
    wrong_tokens(&mut it).await;
    pipeline_that_is_being_removed(&mut it, &database).await;
    outage(&mut it, &database).await;
    for (path, method, operation) in it.description.operations() {
        for status in operation["responses"].as_object().expect("responses").keys() {
            let answer = (path.to_owned(), method.to_owned(), status.parse().expect("a status"));
            assert!(it.seen.contains(&answer), "described, but never returned: {answer:?}");
        }
    }
    assert_eq!(it.server.signal("TERM").code(), Some(0));
}

/// Posts reports, including those of the examples.
async fn reports(it: &mut CheckedServer) {
    let post = Method::POST;
    let example = |name: &str| it.description.0["components"]["schemas"][name]["example"].clone();
    let (example_run, example_metric) = (example("SourceRun"), example("DataQualityMetric"));
    for (path, example) in [(RUNS, example_run), (METRICS, example_metric)] {
        let id = "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d12";
        let good = with(example, json!({"timestamp": now(), "id": id}));
        let other = with(good.clone(), json!({"geocoding_attempts": 1000}));
        let new = with(good.clone(), json!({"id": null, "pipeline": null, "validation_pass_rate": null}));
        for (status, body, headers) in [
            (201, good.clone(), &[JSON][..]),
            (200, json!([good, new]), &[JSON]),
            (207, json!([new, {}, {"id": "nonsense"}]), &[JSON]),
            (409, other, &[JSON]),
            (422, json!({"id": id, "timestamp": "nonsense", "unknown": 1}), &[JSON]),
            (201, json!(format!("{new}\n{new}\n")), &[("content-type", "application/x-ndjson")]),
            (400, json!("{"), &[JSON]),
            (413, json!(vec![new.clone(); 1_001]), &[JSON]),
            (415, new.clone(), &[("content-type", "text/plain")]),
            (401, new.clone(), &[JSON, ("authorization", "Bearer wrong")]),
        ] {
            it.expect(status, post.clone(), path, headers, &body).await;
        }
        it.expect(201, post.clone(), &format!("{path}?pipeline=other"), &[JSON], &new).await;
    }
}

/// A path with values for its parameters.
fn concrete(path: &str) -> String {
    path.replace("{pipeline}", "default").replace("{source}", "a").replace("{signal}", "fail")
}

/// Pings, without the outcomes of reports that other tests cover.
async fn pings(it: &mut CheckedServer) {
    const ID: &str = "?rid=0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d1";
    let none = json!("");
    for (number, method) in [Method::GET, Method::POST].into_iter().enumerate() {
        let success = format!("/api/v1/ping/default/job-{number}");
        let failure = format!("{success}/fail");
        for (path, other, id) in
            [(&success, &failure, format!("{ID}{number}")), (&failure, &success, format!("{ID}{}", number + 2))]
        {
            it.expect(200, method.clone(), path, &[], &none).await;
            it.expect(200, method.clone(), &format!("{other}{id}"), &[], &none).await;
            for (status, query, headers) in [
                (409, id.as_str(), &[][..]),
                (400, "?counts.rows=many", &[]),
                (422, "?rid=", &[]),
                (415, "", &[("content-encoding", "gzip")]),
                (401, "", &[("authorization", "Bearer wrong")]),
            ] {
                it.expect(status, method.clone(), &format!("{path}{query}"), headers, &none).await;
            }
        }
        it.expect(404, method.clone(), "/api/v1/ping/default/a/256", &[], &none).await;
    }
}

/// OpenLineage events.
async fn lineage(it: &mut CheckedServer) {
    let post = Method::POST;
    let example = it.description.0["components"]["schemas"]["LineageEvent"]["example"].clone();
    let event = with(example, json!({"eventTime": now(), "eventType": "START"}));
    for path in [LINEAGE, LINEAGE_BATCH] {
        let list = |event: Value| if path == LINEAGE { event } else { json!([event]) };
        let long = json!(format!("[{}]", vec!["{}"; 1_001].join(",")));
        let large = json!("x".repeat(8 * 1024 * 1024 + 1));
        for (status, body, headers) in [
            (200, list(event.clone()), &[JSON][..]),
            (422, list(json!({})), &[JSON]),
            (400, json!("{"), &[JSON]),
            (413, if path == LINEAGE { large } else { long }, &[JSON]),
            (415, list(event.clone()), &[("content-type", "text/plain")]),
            (401, list(event.clone()), &[JSON, ("authorization", "Bearer wrong")]),
        ] {
            it.expect(status, post.clone(), path, headers, &body).await;
        }
    }
}

/// The responses of all routes but health to cross-site requests and to requests for other hosts.
async fn cross_site_requests(it: &mut CheckedServer) {
    let guarded: Vec<_> = it.description.operations().filter(|(.., it)| it["responses"].get("421").is_some()).collect();
    let guarded: Vec<_> =
        guarded.into_iter().map(|(path, method, _)| (path.to_owned(), method.to_uppercase())).collect();
    assert!(guarded.len() > 7, "{guarded:?}");
    for (path, method) in guarded {
        let path = concrete(&path);
        let method: Method = method.parse().expect("a method");
        for (status, headers) in [
            (403, &[("origin", "https://example.com")][..]),
            (421, &[("host", "example.com"), ("authorization", "Bearer wrong")]),
        ] {
            it.expect(status, method.clone(), &path, headers, &json!("")).await;
        }
    }
}

/// Requests while more wrong tokens arrive than responses may be delayed.
async fn wrong_tokens(it: &mut CheckedServer) {
    let operations = it.description.operations().filter(|(.., it)| it["responses"].get("429").is_some());
    let operations: Vec<_> = operations.map(|(path, method, _)| (path.to_owned(), method.to_uppercase())).collect();
    assert!(operations.len() > 7, "{operations:?}");
    let mut crowd = crowd_with_wrong_tokens(&it.server.url).await;
    for (path, method) in operations {
        let path = concrete(&path);
        let method: Method = method.parse().expect("a method");
        let headers = [("host", "example.com"), ("authorization", "Bearer wrong")];
        in_time("a refusal", async { while it.ask(method.clone(), &path, &headers, "").await.0 != 429 {} }).await;
    }
    assert!(crowd.try_join_next().is_none(), "the server keeps every connection of the crowd");
}

/// Sends 400 wrong tokens at a time until it is dropped. The server drops the oldest of more than 256 connections
/// without a valid token, this test's own among them, so the crowd shares four.
async fn crowd_with_wrong_tokens(url: &str) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..4 {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = in_time("a handshake", handshake).await.expect("HTTP/2");
        crowd.spawn(async move { connection.await.expect("an unbroken connection") });
        for _ in 0..100 {
            let (mut sender, url) = (sender.clone(), format!("{url}/metrics"));
            crowd.spawn(async move {
                loop {
                    // The response to HEAD has no body to read.
                    let request = Request::head(&url).header("authorization", "Bearer wrong");
                    let request = request.body(String::new()).expect("a request");
                    sender.send_request(request).await.expect("a response");
                }
            });
        }
    }
    crowd
}

/// Reports to a pipeline that is being removed have a result per item.
async fn pipeline_that_is_being_removed(it: &mut CheckedServer, database: &Database) {
    for path in [RUNS, METRICS] {
        let metric =
            json!({"timestamp": now(), "metric_type": "hourly", "validation_attempts": 1, "validation_passes": 1});
        let body = if path == RUNS { run("a") } else { metric };
        let path = format!("{path}?pipeline={}", if path == RUNS { "leaving" } else { "going" });
        it.expect(201, Method::POST, &path, &[JSON], &body).await;
        database.execute("UPDATE pipelines SET removing_at = now() WHERE key IN ('leaving', 'going')").await;
        let answer = it.expect(503, Method::POST, &path, &[JSON], &body).await;
        assert_eq!(answer["results"][0]["errors"][0]["field"], "pipeline", "{answer}");
    }
    let event = it.description.0["components"]["schemas"]["LineageEvent"]["example"].clone();
    let event = with(event, json!({"eventTime": now(), "job": {"namespace": "leaving", "name": "a"}}));
    for (path, body) in [(LINEAGE, event.clone()), (LINEAGE_BATCH, json!([event]))] {
        let answer = it.expect(503, Method::POST, path, &[JSON], &body).await;
        assert_eq!(answer["failed_events"][0]["retriable"], true, "{answer}");
    }
}

/// The status, on every route.
async fn status_routes(it: &mut CheckedServer) {
    let (get, none) = (Method::GET, json!(""));
    let failed = with(run("b"), json!({"outcome": "failed", "error": "gone"}));
    it.expect(201, Method::POST, RUNS, &[JSON], &failed).await;
    let (_, headers, status) = it.ask(get.clone(), STATUS, &[], "").await;
    assert_eq!(status["scraping_health"]["failed_sources"], 1);
    let etag = headers["etag"].to_str().expect("text").to_owned();
    for path in [STATUS, STREAM, SOCKET] {
        let upgrade: &[(&str, &str)] = if path == SOCKET { &UPGRADE } else { &[] };
        let and = |more: &[(&'static str, &'static str)]| [upgrade, more].concat();
        let version = ("sec-websocket-version", "13");
        let found = if path == SOCKET { 101 } else { 200 };
        for (query, status) in [
            ("", found),
            ("?sources=all", found),
            ("?sources=none", found),
            ("?sources=some", 400),
            ("?pipeline=a", 404),
        ] {
            let value = it.expect(status, get.clone(), &format!("{path}{query}"), &and(&[version]), &none).await;
            if path == STREAM && status == 200 {
                let event = value.as_str().expect("text");
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect(event);
                it.description.assert_is("PipelineStatus", &serde_json::from_str(data).expect("JSON"));
            }
        }
        if path != SOCKET {
            it.expect(401, get.clone(), path, &[("authorization", "Basic token")], &none).await;
        }
    }
    it.expect(304, get.clone(), STATUS, &[("if-none-match", &etag)], &none).await;
    let (status, headers, _) = it.ask(get.clone(), "/badge/default.svg", &[], "").await;
    let etag = headers["etag"].to_str().expect("text").to_owned();
    assert_eq!(status, 200);
    it.expect(304, get.clone(), "/badge/default.svg", &[("if-none-match", &etag)], &none).await;
    it.expect(404, get.clone(), "/badge/a.svg", &[], &none).await;
    it.expect(401, get.clone(), "/badge/default.svg", &[("authorization", "Basic token")], &none).await;
    it.expect(400, get.clone(), SOCKET, &[], &none).await;
    let old: Vec<_> = UPGRADE.into_iter().chain([("sec-websocket-version", "8")]).collect();
    it.expect(426, get.clone(), SOCKET, &old, &none).await;
}

async fn health_and_metrics(it: &mut CheckedServer) {
    let (get, none) = (Method::GET, json!(""));
    for path in ["/api/health", "/api/health/live", "/api/health/ready", "/metrics", "/api/openapi.json"] {
        let answer = it.expect(200, get.clone(), path, &[], &none).await;
        if path.contains("health") {
            it.expect(200, get.clone(), path, &[("authorization", "Bearer wrong")], &none).await;
        } else {
            it.expect(401, get.clone(), path, &[("authorization", "Bearer wrong")], &none).await;
        }
        if path == "/api/openapi.json" {
            assert_eq!(answer, serde_json::from_str::<Value>(&openapi::json()).expect("JSON"));
        }
    }
}

/// PostgreSQL refuses all connections: known data is served with an alert, unknown data is an error.
async fn outage(it: &mut CheckedServer, database: &Database) {
    let (get, post, none) = (Method::GET, Method::POST, json!(""));
    let name = database.name();
    database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    database
        .execute_as_admin(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        .await;
    in_time("an alert", async { while it.ask(get.clone(), STATUS, &[], "").await.2["alerts"] == json!([]) {} }).await;
    for path in [RUNS, METRICS] {
        let metric =
            json!({"timestamp": now(), "metric_type": "hourly", "validation_attempts": 1, "validation_passes": 1});
        it.expect(503, post.clone(), path, &[JSON], &if path == RUNS { run("a") } else { metric }).await;
    }
    for (method, path) in [(&get, PING), (&post, PING), (&get, SIGNAL), (&post, SIGNAL)] {
        it.expect(503, method.clone(), &concrete(path), &[], &none).await;
    }
    let version = ("sec-websocket-version", "13");
    let upgrade: Vec<_> = UPGRADE.into_iter().chain([version]).collect();
    for (path, headers) in [(STATUS, &[][..]), (STREAM, &[]), (SOCKET, &upgrade)] {
        it.expect(503, get.clone(), &format!("{path}?pipeline=other"), headers, &none).await;
    }
    it.expect(503, get.clone(), "/badge/other.svg", &[], &none).await;
    for path in ["/api/health", "/api/health/ready"] {
        in_time("health reports it", async { while it.ask(get.clone(), path, &[], "").await.0 != 503 {} }).await;
    }
    database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
}
