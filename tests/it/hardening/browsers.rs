//! Attacks by pages of other sites, as raw requests. `client/e2e/cross-site.test.ts` runs the same in Chromium.

use std::path::Path;
use std::time::Instant;

use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::clients::Socket;
use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::server::{Process, answer, client, program};
use crate::support::{in_time, run};

const TOKEN: &str = "a-token-of-these-tests";
/// The pipeline that every attack tries to remove or change.
const VICTIM: &str = "victim";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n";
const REMOVAL: &str = "mutation { removePipeline(pipeline: \"victim\") }";

/// A request that reads or changes data.
struct Route {
    method: &'static str,
    path: &'static str,
    headers: &'static str,
    body: String,
    /// The status when it is allowed.
    status: u16,
}

fn routes() -> Vec<Route> {
    let graphql = |query: &str| json!({"query": query, "variables": null}).to_string();
    // A simple request, which has no preflight.
    let text = "Content-Type: text/plain\r\n";
    let json = "Content-Type: application/json\r\n";
    let (events, none) = ("Accept: text/event-stream\r\n", String::new);
    let route = |method, path, headers, body, status| Route { method, path, headers, body, status };
    vec![
        route("GET", "/api/v1/monitoring/pipeline-status?pipeline=victim", "", none(), 200),
        route("HEAD", "/api/v1/monitoring/pipeline-status?pipeline=victim", "", none(), 200),
        route("GET", "/api/v1/monitoring/pipeline-status/stream?pipeline=victim", events, none(), 200),
        route("GET", "/api/v1/ws/monitoring/pipeline-status?pipeline=victim", UPGRADE, none(), 101),
        route("POST", "/api/v1/source-runs?pipeline=victim", text, run("a").to_string(), 415),
        route("POST", "/api/v1/source-runs?pipeline=victim", json, "{}".into(), 422),
        route("POST", "/api/v1/data-quality-metrics?pipeline=victim", json, "{}".into(), 422),
        route("GET", "/graphql?query=%7Bpipelines%7Bkey%7D%7D", "", none(), 200),
        route("GET", "/graphql?query=%7Bpipelines%7Bkey%7D%7D", events, none(), 200),
        route("GET", "/graphql?query=mutation%7BremovePipeline(pipeline:%22victim%22)%7D", "", none(), 405),
        route("GET", "/graphql?query=mutation%7BremovePipeline(pipeline:%22victim%22)%7D", events, none(), 405),
        route("POST", "/graphql", json, graphql("{ pipelines { key } }"), 200),
        route("POST", "/graphql", text, graphql(REMOVAL), 415),
        route("PUT", "/graphql", "", none(), 201),
        route("DELETE", "/graphql?token=none&operationId=1", "", none(), 404),
        route("GET", "/graphql?token=none", events, none(), 404),
        route("GET", "/badge/victim.svg", "", none(), 200),
        route("GET", "/metrics", "", none(), 200),
        route("GET", "/api/openapi.json", "", none(), 200),
        route("GET", "/", "", none(), 200),
        route("GET", "/graphiql", "", none(), 200),
        route("GET", "/api/docs", "", none(), 200),
        route("GET", "/api/v1/ping/victim/unknown/log", "", none(), 404),
        route("POST", "/api/v1/ping/victim/a/256", "", none(), 404),
        route("POST", "/api/v1/lineage", json, "{}".into(), 422),
        route("POST", "/api/v1/lineage/batch", text, "[]".into(), 415),
        route("GET", "/nowhere", "", none(), 404),
    ]
}

/// graphql-transport-ws requires its subprotocol; its handshake is tested separately.
const SOCKET: Route = Route {
    method: "GET",
    path: "/graphql",
    headers: "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n",
    body: String::new(),
    status: 101,
};

/// The header lines that tell where a request comes from and goes to. `HOST` is the server's address.
const ATTACKS: [(u16, &str); 14] = [
    (403, "Host: HOST\r\nOrigin: https://evil.example\r\n"),
    (403, "Host: HOST\r\nOrigin: http://localhost:1\r\nSec-Fetch-Site: same-origin\r\n"),
    (403, "Host: HOST\r\nOrigin: null\r\n"),
    (403, "Host: HOST\r\nOrigin: http://HOST\r\nOrigin: http://HOST\r\n"),
    (403, "Host: HOST\r\nOrigin: \r\n"),
    (421, "Host: rebind.example\r\n"),
    // A page after DNS rebinding: everything has one origin.
    (421, "Host: rebind.example:8000\r\nOrigin: http://rebind.example:8000\r\nSec-Fetch-Site: same-origin\r\n"),
    (421, "Host: localhost.rebind.example\r\n"),
    (421, "Host: rebind.example\r\nAuthorization: Bearer a-token-that-is-wrong\r\n"),
    (400, "Host: HOST\r\nHost: rebind.example\r\n"),
    (400, "Host: HOST\r\nHost: HOST\r\n"),
    (400, "Host: me@HOST\r\n"),
    (400, "Host: \r\n"),
    (400, ""),
];

/// The headers of programs and of the server's own pages.
const HONEST: [&str; 7] = [
    "Host: HOST\r\n",
    "Host: localhost\r\n",
    "Host: a.localhost.:1\r\n",
    "Host: HOST\r\nOrigin: http://HOST\r\nSec-Fetch-Site: same-origin\r\n",
    "Host: HOST\r\nOrigin: https://HOST\r\n",
    "Host: HOST\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n",
    "Host: [2001:db8::1]:99\r\n",
];

/// Sends a request and returns the status of the response.
async fn ask(server: &Process, route: &Route, context: &str) -> u16 {
    let host = server.url.trim_start_matches("http://");
    let Route { method, path, headers, body, .. } = route;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let context = context.replace("HOST", host);
    raw(host, &format!("{method} {path} HTTP/1.1\r\n{context}{headers}{length}\r\n{body}")).await
}

/// Returns the status of a response.
async fn raw(address: &str, request: &str) -> u16 {
    let answered = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("a status line");
        String::from_utf8_lossy(&head[9..]).parse().expect("a status")
    };
    in_time(request, answered).await
}

fn serve(folder: &Path, tokens: Option<&str>, arguments: &[&str]) -> Process {
    let mut command = program(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]).args(arguments);
    Process::start(match tokens {
        Some(tokens) => {
            command.env("PIPEWATCH_TOKENS", tokens);
            command
        }
        None => command,
    })
}

/// Reports one run of the attacked pipeline.
async fn report(server: &Process, token: Option<&str>) {
    let request = client().post(format!("{}/api/v1/source-runs?pipeline={VICTIM}", server.url)).json(&run("a"));
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    assert_eq!(answer(request).await.0, 201);
}

/// The pipeline still has exactly the reported run.
async fn assert_unharmed(server: &Process, token: Option<&str>) {
    let status = client().get(format!("{}/api/v1/monitoring/pipeline-status?pipeline={VICTIM}", server.url));
    let (code, status) = answer(token.into_iter().fold(status, reqwest::RequestBuilder::bearer_auth)).await;
    assert_eq!((code, &status["scraping_health"]["articles_collected"]), (200, &json!(3)), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_read_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), None, &[]);
    report(&server, None).await;
    let honest = HonestClients::start(&server, None).await;
    let begun = Instant::now();
    loop {
        for route in routes().iter().chain([&SOCKET]) {
            for (status, attack) in ATTACKS {
                assert_eq!(ask(&server, route, attack).await, status, "{} {} {attack}", route.method, route.path);
            }
            for context in HONEST {
                assert_eq!(
                    ask(&server, route, context).await,
                    route.status,
                    "{} {} {context}",
                    route.method,
                    route.path
                );
            }
            // `<img>` and similar elements send no Origin.
            let site = "Host: HOST\r\nSec-Fetch-Site: cross-site\r\n";
            for mode in ["no-cors", "navigate", "websocket"] {
                let may = route.path.starts_with("/badge/")
                    || mode == "navigate" && ["/", "/graphiql", "/api/docs"].contains(&route.path);
                // A WebSocket is not a page; browsers open it with its own mode.
                let is_page = mode == "navigate" && route.path == "/graphql" && route.method == "GET";
                if !is_page {
                    let expect = if may { route.status } else { 403 };
                    let context = format!("{site}Sec-Fetch-Mode: {mode}\r\n");
                    assert_eq!(ask(&server, route, &context).await, expect, "{} {} {mode}", route.method, route.path);
                }
            }
        }
        if begun.elapsed() > attack_length() {
            break;
        }
    }
    assert_unharmed(&server, None).await;
    assert!(server.metric("pipewatch_refused_requests_total").await > 100.0);
    honest.finish(&server).await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_credential_exempts_only_the_host_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), Some(TOKEN), &[]);
    report(&server, Some(TOKEN)).await;
    let valid = format!("Authorization: Bearer {TOKEN}\r\n");
    for route in routes().iter().chain([&SOCKET]) {
        let what = format!("{} {}", route.method, route.path);
        let with_token = |context: &str| format!("{context}{valid}");
        assert_eq!(ask(&server, route, &with_token("Host: reverse.proxy.example\r\n")).await, route.status, "{what}");
        assert_eq!(
            ask(&server, route, &with_token("Host: HOST\r\nOrigin: https://evil.example\r\n")).await,
            403,
            "{what}"
        );
        // Responses to wrong tokens are slowed; another test covers them.
        for (status, attack) in ATTACKS.into_iter().filter(|(_, attack)| !attack.contains("Bearer")) {
            assert_eq!(ask(&server, route, attack).await, status, "{what} {attack}");
        }
        // A token in the query can be part of a link on any page.
        let mark = if route.path.contains('?') { '&' } else { '?' };
        let path: &'static str = format!("{}{mark}access_token={TOKEN}", route.path).leak();
        let in_query = Route { path, body: route.body.clone(), ..*route };
        assert_eq!(ask(&server, &in_query, "Host: reverse.proxy.example\r\n").await, 421, "{what}");
    }
    assert_unharmed(&server, Some(TOKEN)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_name_hosts_and_origins() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        "--public-url",
        "https://pipewatch.example.org",
        "--allowed-hosts",
        "intern,named:8000",
        "--cors-origins",
        "https://friend.example",
    ];
    let server = serve(folder.path(), None, &settings);
    report(&server, None).await;
    let host = server.url.trim_start_matches("http://").to_owned();
    let query = "GET /graphql?query=%7Bpipelines%7Bkey%7D%7D HTTP/1.1\r\n";
    for (context, status) in [
        ("Host: pipewatch.example.org\r\nOrigin: https://pipewatch.example.org\r\n", 200),
        ("Host: HOST\r\nOrigin: https://pipewatch.example.org\r\n", 200),
        ("Host: HOST\r\nOrigin: http://pipewatch.example.org\r\n", 403),
        ("Host: intern:8000\r\nOrigin: http://intern:8000\r\n", 200),
        ("Host: intern\r\nOrigin: http://intern:8000\r\n", 403),
        ("Host: named:8000\r\n", 200),
        ("Host: named:8001\r\n", 421),
        ("Host: HOST\r\nOrigin: https://friend.example\r\n", 200),
        ("Host: HOST\r\nOrigin: https://friend.example:444\r\n", 403),
        ("Host: friend.example\r\n", 421),
    ] {
        let context = context.replace("HOST", &host);
        assert_eq!(raw(&host, &format!("{query}{context}\r\n")).await, status, "{context}");
    }
    let preflight = async |origin: &str| {
        let request = client().request(reqwest::Method::OPTIONS, format!("{}/graphql", server.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let response = in_time("an answer", request.header("access-control-request-headers", "content-type").send());
        let response = response.await.expect("an answer");
        (response.status().as_u16(), response.headers().get("access-control-allow-origin").cloned())
    };
    let (status, allowed) = preflight("https://friend.example").await;
    assert_eq!((status, allowed.expect("a header").as_bytes()), (200, &b"https://friend.example"[..]));
    assert_eq!(preflight("https://evil.example").await, (403, None));
    assert_unharmed(&server, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_reach_health_by_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), Some(TOKEN), &[]);
    let host = server.url.trim_start_matches("http://");
    for path in ["/api/health", "/api/health/live", "/api/health/ready"] {
        for head in ["HTTP/1.1\r\nHost: any.example\r\n", "HTTP/1.1\r\n", "HTTP/1.0\r\n"] {
            assert_eq!(raw(host, &format!("GET {path} {head}\r\n")).await, 200, "{path} {head}");
        }
    }
    // HTTP/1.0 without a host has no other use.
    assert_eq!(raw(host, "GET / HTTP/1.0\r\n\r\n").await, 400);
    assert_eq!(raw(host, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").await, 200);
    assert_eq!(raw(host, "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 200);
    assert_eq!(raw(host, "GET http://localhost/ HTTP/1.1\r\nHost: other\r\n\r\n").await, 400);
    assert_eq!(raw(host, "GET http://rebind.example/ HTTP/1.1\r\nHost: rebind.example\r\n\r\n").await, 421);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_names_one_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), None, &[]);
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
    let connection = tokio::spawn(connection);
    for (authority, host, origin, status) in [
        ("localhost:8000", None, None, StatusCode::OK),
        ("127.0.0.1", None, Some("https://127.0.0.1"), StatusCode::OK),
        ("localhost", Some("LOCALHOST"), None, StatusCode::OK),
        ("localhost", None, Some("https://evil.example"), StatusCode::FORBIDDEN),
        ("rebind.example", None, None, StatusCode::MISDIRECTED_REQUEST),
        ("localhost", Some("rebind.example"), None, StatusCode::BAD_REQUEST),
        ("rebind.example", Some("localhost"), None, StatusCode::BAD_REQUEST),
    ] {
        let request = hyper::Request::builder().uri(format!("http://{authority}/api/openapi.json"));
        let request = host.into_iter().fold(request, |request, host| request.header("host", host));
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        let request = request.body(String::new()).expect("a request");
        let response = in_time("an answer", sender.send_request(request)).await.expect("an answer");
        assert_eq!(response.status(), status, "{authority} {host:?} {origin:?}");
    }
    drop(sender);
    connection.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), None, &[]);
    report(&server, None).await;
    let client = client();
    let reserve = in_time("an answer", client.put(format!("{}/graphql", server.url)).send()).await.expect("an answer");
    let token = reserve.text().await.expect("a token");
    let mut url = reqwest::Url::parse(&format!("{}/graphql", server.url)).expect("a URL");
    url.query_pairs_mut().append_pair("query", REMOVAL).append_pair("extensions", r#"{"operationId":"1"}"#);
    for (accept, token) in [
        ("application/json", None),
        ("application/graphql-response+json", None),
        ("text/event-stream", None),
        ("application/json", Some(&token)),
        ("*/*", Some(&token)),
    ] {
        let request = client.get(url.clone()).header("accept", accept);
        let request =
            token.into_iter().fold(request, |request, token| request.header("x-graphql-event-stream-token", token));
        let response = in_time("an answer", request.send()).await.expect("an answer");
        assert_eq!(response.status(), 405, "{accept} {token:?}");
        assert_eq!(response.headers()["allow"], "POST", "{accept} {token:?}");
    }
    // Queries of the single connection mode may use GET.
    url.query_pairs_mut().clear().append_pair("query", "{ pipelines { key } }");
    url.query_pairs_mut().append_pair("extensions", r#"{"operationId":"2"}"#);
    let request = client.get(url).header("x-graphql-event-stream-token", &token);
    assert_eq!(in_time("an answer", request.send()).await.expect("an answer").status(), 202);
    assert_unharmed(&server, None).await;
    // A WebSocket of one of the server's own pages is unaffected by all of this.
    let mut socket = Socket::graphql_at(&server.url).await;
    socket.subscribe("1", "subscription { pipelineStatusUpdates(pipeline: \"victim\") { revision } }").await;
    assert_eq!(socket.next().await["type"], "next");
}
