use pipewatch::config::Flags;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Database, Server, in_time, run};

/// Sends a request over a connection of its own: the head of the response, its first line and the names of its headers, and
/// all that follows until the server closes the connection.
async fn raw(server: &Server, method: &str, path: &str, headers: &str) -> (String, Vec<String>, Vec<u8>) {
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    in_time("the end of the response", stream.read_to_end(&mut bytes)).await.expect("read");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.lines();
    let status = lines.next().expect("a status line").to_owned();
    let names = lines.filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()));
    (status, names.collect(), bytes[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_is_answered_with_the_headers_of_get() {
    let server = Server::start(Database::sqlite()).await;
    server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    for (path, headers) in [
        ("/", ""),
        ("/graphiql", ""),
        ("/api/docs", ""),
        ("/api/v1/ping/p/s", ""),
        ("/api/v1/ping/p/s/nothing", ""),
        ("/api/health", ""),
        ("/api/health/live", ""),
        ("/api/health/ready", ""),
        ("/api/openapi.json", ""),
        ("/metrics", ""),
        ("/badge/default.svg", ""),
        ("/badge/nothing.svg", ""),
        ("/api/v1/monitoring/pipeline-status", ""),
        ("/api/v1/monitoring/pipeline-status?pipeline=nothing", ""),
        ("/graphql?query=%7Bpipelines%7Bkey%7D%7D", ""),
        ("/graphql?query=%7Bnothing%7D", "Accept: application/graphql-response+json\r\n"),
        ("/graphql?query=mutation%7BremovePipeline(pipeline:%22a%22)%7D", ""),
        ("/graphql", "Accept: text/html\r\n"),
        ("/graphql?token=nothing", "Accept: text/event-stream\r\n"),
        ("/nowhere", ""),
    ] {
        let (get, mut names, _) = raw(&server, "GET", path, headers).await;
        let (head, mut of_head, body) = raw(&server, "HEAD", path, headers).await;
        assert_eq!((head, body), (get, vec![]), "{path}");
        // A length may be left out.
        names.retain(|name| name != "content-length" && name != "transfer-encoding");
        of_head.retain(|name| name != "content-length" && name != "transfer-encoding");
        assert_eq!(of_head, names, "{path}");
    }
    // GET has a stream without an end.
    for (path, headers) in [
        ("/api/v1/monitoring/pipeline-status/stream", ""),
        ("/graphql?query=subscription%7BpipelineStatusUpdates%7Brevision%7D%7D", "Accept: text/event-stream\r\n"),
    ] {
        let (status, names, body) = raw(&server, "HEAD", path, headers).await;
        assert_eq!((status.as_str(), body), ("HTTP/1.1 200 OK", vec![]), "{path}");
        for name in ["content-type", "cache-control"] {
            assert!(names.iter().any(|it| it == name), "{name} of {path}: {names:?}");
        }
    }
    let (status, ..) = raw(&server, "HEAD", "/api/v1/monitoring/pipeline-status/stream?pipeline=nothing", "").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_allows_every_header_that_the_api_reads() {
    let flags = Flags { cors_origins: Some(vec!["*".into()]), ..Flags::default() };
    let server = Server::start_with(Database::sqlite(), flags).await;
    let ask = |origin: &str, header: &str| {
        let request = server.client.request(Method::OPTIONS, format!("{}/graphql", server.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", header)
    };
    for header in [
        "accept",
        "authorization",
        "content-encoding",
        "content-type",
        "if-none-match",
        "last-event-id",
        "x-graphql-event-stream-token",
        "pipewatch-counts",
    ] {
        let response = in_time("an answer", ask("https://friend.example", header).send()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let allowed = response.headers()["access-control-allow-headers"].to_str().expect("text");
        assert!(allowed.split(',').any(|name| name.trim() == header), "{header} in {allowed}");
    }
    // Any page can have the origin `null` in a sandboxed frame.
    let response = in_time("an answer", ask("null", "content-type").send()).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers().get("access-control-allow-origin")), (403, None));
    let request = server.post("/graphql").header("origin", "null").json(&json!({"query": "{ __typename }"}));
    assert_eq!(in_time("an answer", request.send()).await.expect("an answer").status(), 403);
    server.stop().await;
}

/// Sends a WebSocket handshake: the first line and the headers of the response.
async fn handshake(server: &Server, method: &str, path: &str, key: &str) -> String {
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
    };
    in_time("the head of the response", read).await;
    String::from_utf8(head).expect("text").to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_websocket_handshake_is_refused() {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let server = Server::start(Database::sqlite()).await;
    for path in ["/graphql", "/api/v1/ws/monitoring/pipeline-status"] {
        for (method, key, status) in [
            ("GET", KEY, "http/1.1 101 "),
            ("POST", KEY, "http/1.1 405 "),
            ("PUT", KEY, "http/1.1 405 "),
            ("GET", "", "http/1.1 400 "),
            ("GET", "c2hvcnQ=", "http/1.1 400 "),
            ("GET", "dGhlIHNhbXBsZSBub25jZWE=", "http/1.1 400 "),
            ("GET", "not base64 at all!!!!!!!", "http/1.1 400 "),
        ] {
            let head = handshake(&server, method, path, key).await;
            assert!(head.starts_with(status), "{method} {path} {key:?}: {head}");
            let allows_get = head.contains("\r\nallow: get");
            assert_eq!(allows_get, status.contains("405"), "{method} {path}: {head}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_is_reused_after_a_complete_event_stream() {
    let server = Server::start(Database::sqlite()).await;
    let host = server.url.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).await.expect("a connection");
    let mut request = async |query: &str| {
        let path = format!("/graphql?query={query}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = Vec::new();
        let read = async {
            while !response.ends_with(b"event: complete\ndata:\n\n") {
                response.push(stream.read_u8().await.expect("a response"));
            }
        };
        in_time("the end of the operation", read).await;
        String::from_utf8(response).expect("text").to_ascii_lowercase()
    };
    for query in ["%7Bpipelines%7Bkey%7D%7D", "%7Bnothing%7D", "%7Bpipelines%7Bkey%7D%7D"] {
        let response = request(query).await;
        assert!(response.starts_with("http/1.1 200 ") && response.contains("text/event-stream"), "{response}");
        assert!(!response.contains("connection: close"), "{response}");
    }
    server.stop().await;
}
