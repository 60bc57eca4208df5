//! What clients leave in the log and in metrics, and what caches may store.

use std::fs::File;
use std::process::Stdio;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::clients::Socket;
use crate::support::server::{Process, answer, client, program};
use crate::support::{eventually, in_time, run, with};

const TOKEN: &str = "a-token-of-these-tests";

/// A server, and its log file.
fn serve(folder: &tempfile::TempDir, tokens: Option<&str>) -> Process {
    let mut command = program(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]);
    command.args(["--evaluation-interval", "100ms"]);
    command.stderr(Stdio::from(File::create(folder.path().join("log")).expect("a file")));
    command.envs(tokens.map(|tokens| ("PIPEWATCH_TOKENS", tokens)));
    Process::start(command)
}

fn authorized(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    token.into_iter().fold(request, RequestBuilder::bearer_auth)
}

/// Returns the data of a GraphQL operation.
async fn data(server: &Process, token: Option<&str>, query: &str) -> Value {
    let request = client().post(format!("{}/graphql", server.url)).json(&json!({"query": query}));
    let (status, answer) = answer(authorized(request, token)).await;
    assert!(status == 200 && answer.get("errors").is_none(), "{query}: {answer}");
    answer["data"].clone()
}

async fn report(server: &Process, token: Option<&str>, run: &Value) {
    let request = client().post(format!("{}/api/v1/source-runs?pipeline=news", server.url)).json(run);
    assert_eq!(answer(authorized(request, token)).await.0, 201);
}

/// Runs every operation that is logged, and returns the expected content of each line.
async fn run_logged_operations(server: &Process, token: Option<&str>) -> Vec<(&'static str, String)> {
    let bad = with(run("punch"), json!({"geocoding_attempts": 100, "geocoding_successes": 5}));
    report(server, token, &bad).await;
    let alert = eventually("a firing alert", || async {
        let alerts = data(server, token, "{ alerts(pipeline: \"news\") { nodes { id rule state } } }").await;
        let alerts = alerts["alerts"]["nodes"].as_array().cloned().unwrap_or_default();
        let firing = alerts.into_iter().find(|alert| alert["rule"] == "THRESHOLD" && alert["state"] == "FIRING");
        firing.and_then(|alert| Some(alert["id"].as_str()?.to_owned()))
    })
    .await;
    let acknowledge = format!("mutation {{ acknowledgeAlert(id: \"{alert}\", author: \"ada\\nline\") {{ state }} }}");
    data(server, token, &acknowledge).await;
    let silence =
        "mutation { silenceAlerts(pipeline: \"news\", source: \"punch\", label: \"team=maps\", author: \"bob\",
        reason: \"a move\", until: \"2999-01-01T00:00:00Z\") { id } }";
    let silence = data(server, token, silence).await["silenceAlerts"]["id"].as_str().expect("an id").to_owned();
    let end = format!("mutation {{ endAlertSilence(id: \"{silence}\") }}");
    assert_eq!(data(server, token, &end).await["endAlertSilence"], true);
    assert_eq!(data(server, token, &end).await["endAlertSilence"], false);
    data(server, token, "mutation { removeSource(pipeline: \"news\", source: \"punch\") }").await;
    // Also over a WebSocket.
    let mut socket = Socket::graphql_unacknowledged(&server.url).await;
    socket.send(json!({"type": "connection_init", "payload": {"token": token}})).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    socket.subscribe("1", "mutation { removePipeline(pipeline: \"news\") }").await;
    assert_eq!(socket.next().await["type"], "next");
    vec![
        ("acknowledge_alert", format!("{alert} in the name of \"ada\\nline\"")),
        (
            "silence_alerts",
            "of the pipeline news of the source \"punch\" with the label \"team=maps\" until 2999".into(),
        ),
        ("end_alert_silence", silence),
        ("remove_source", "the source \"punch\" of the pipeline news".into()),
        ("remove_pipeline", "the pipeline news".into()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_logged_with_user_and_address() {
    let digest = Sha256::digest(TOKEN.as_bytes());
    let fingerprint = format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    for (token, who) in [(None, "anonymous"), (Some(TOKEN), fingerprint.as_str())] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = serve(&folder, token);
        let expected = run_logged_operations(&server, token).await;
        if token.is_some() {
            let request = client().get(format!("{}/metrics", server.url)).bearer_auth("a-wrong-token-of-these");
            assert_eq!(in_time("an answer", request.send()).await.expect("an answer").status(), 401);
        }
        assert_eq!(server.signal("TERM").code(), Some(0));
        let log = std::fs::read_to_string(folder.path().join("log")).expect("the log");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("pipewatch::audit")).collect();
        let refused = usize::from(token.is_some());
        assert_eq!(lines.len(), expected.len() + refused, "{log}");
        for ((action, subject), line) in expected.iter().zip(&lines) {
            let parts = [format!("who=\"{who}\""), "from=\"127.0.0.1\"".into(), format!("action=\"{action}\"")];
            for part in parts.iter().chain([subject]) {
                assert!(line.contains(part.as_str()), "{part} in {line}");
            }
        }
        assert!(!log.contains(TOKEN) && !log.contains("a-wrong-token"), "{log}");
        if token.is_some() {
            assert!(lines[expected.len()].contains("a credential was refused"), "{}", lines[expected.len()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_to_credentials_are_private() {
    let routes = [
        "/api/v1/monitoring/pipeline-status",
        "/api/v1/monitoring/pipeline-status?pipeline=unknown",
        "/api/v1/monitoring/pipeline-status/stream",
        "/graphql?query=%7Bpipelines%7Bkey%7D%7D",
        "/graphql?query=%7Bpipelines%7Bkey%7D",
        "/badge/default.svg",
        "/badge/unknown.svg",
        "/metrics",
        "/api/openapi.json",
        "/api/health",
        "/",
        "/graphiql",
        "/api/docs",
        "/api/v1/ping/news/a/log",
        "/nowhere",
    ];
    for tokens in [None, Some(TOKEN)] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = serve(&folder, tokens);
        let page =
            in_time("a page", client().get(&server.url).send()).await.expect("a page").text().await.expect("text");
        let asset = page.split('"').find(|part| part.starts_with("/assets/")).map(str::to_owned);
        let known = client().get(format!("{}{}", server.url, routes[0]));
        let known = in_time("an answer", authorized(known, tokens).send()).await.expect("an answer");
        let etag = known.headers()["etag"].clone();
        for path in routes.into_iter().chain(asset.as_deref()) {
            let mark = if path.contains('?') { '&' } else { '?' };
            let url = format!("{}{path}", server.url);
            for (request, has_credential) in [
                (client().get(&url), false),
                (client().get(&url).bearer_auth(TOKEN), true),
                (client().get(format!("{url}{mark}access_token={TOKEN}")), true),
                (client().get(&url).bearer_auth("a-wrong-token-of-these"), true),
                (client().head(&url).bearer_auth(TOKEN), true),
                (client().get(&url).bearer_auth(TOKEN).header("if-none-match", &etag), true),
            ] {
                let response = in_time("an answer", request.send()).await.expect("an answer");
                let caching = response.headers().get("cache-control").map(|value| value.to_str().expect("text"));
                let directives: Vec<_> = caching.unwrap_or_default().split(", ").collect();
                let is_private = directives.contains(&"private") || directives.contains(&"no-store");
                let what = format!("{path} {tokens:?} {} {caching:?}", response.status());
                assert!(is_private || !has_credential, "{what}");
                assert!(!is_private || !directives.contains(&"public"), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_close_codes_are_not_metric_labels() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, None);
    for code in (3_000..3_050).chain([1000, 1001, 4400, 4999]) {
        let mut socket = Socket::graphql_at(&server.url).await;
        socket.send_raw(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await;
        socket.end().await;
    }
    let metrics = client().get(format!("{}/metrics", server.url));
    let metrics = in_time("an answer", metrics.send()).await.expect("an answer").text().await.expect("text");
    let lines: Vec<_> = metrics.lines().filter(|line| line.starts_with("pipewatch_websocket_closes_total{")).collect();
    let count = |code: &str| lines.iter().filter(|line| line.contains(&format!("\"{code}\""))).count();
    assert_eq!((count("other"), count("1000"), count("1001"), count("4400")), (1, 1, 1, 1), "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
}
