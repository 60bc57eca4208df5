//! Limits on the size, the memory and the time of GraphQL responses.

use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection};
use serde_json::{Value, json};

use crate::hardening::documents::{answer, unpooled};
use crate::support::clients::Socket;
use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::server::{self, Process};
use crate::support::{ALLOWANCE, Database, Server, eventually, in_time, run, with};

const LOCKED_QUERY: &str = "{ sourceRuns { nodes { id } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_are_limited_to_8_mib_on_every_transport() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let client = unpooled();
    let failed = with(run("a"), json!({"outcome": "failed", "error": "x".repeat(16_000)}));
    for _ in 0..3 {
        let runs = client.post(format!("{}/api/v1/source-runs", server.url)).json(&vec![&failed; 100]);
        assert_eq!(in_time("an answer", runs.send()).await.expect("an answer").status(), 201);
    }
    let honest = HonestClients::start(&server, None).await;
    let many: String =
        (0..16).map(|n| format!("a{n}: sourceRuns(first: 500) {{ nodes {{ error }} }} ")).collect::<Vec<_>>().concat();
    let aliases = (0..100).map(|n| format!("a{n}: error ")).collect::<Vec<_>>().concat();
    let cases = [
        // Less than a kilobyte, whose response had hundreds of megabytes.
        format!("{{ {many} }}"),
        "{ sourceRuns(first: 300) { nodes { error again: error } } }".to_owned(),
        format!("{{ sourceRuns(first: 10) {{ nodes {{ {aliases} }} }} }}"),
    ];
    let begun = Instant::now();
    loop {
        // Concurrent operations share the memory for responses in construction, so some may be refused.
        let asked = cases.iter().cycle().take(12).map(|query| {
            let request = client.post(format!("{}/graphql", server.url)).json(&json!({"query": query}));
            async move {
                let response = in_time("an answer", request.send()).await.expect("an answer");
                let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
                let answer: Value = in_time("a body", response.json()).await.expect("JSON");
                let code = answer["errors"][0]["extensions"]["code"].clone();
                match status {
                    200 => {
                        let expected = (&Value::Null, json!("ANSWER_TOO_LARGE"));
                        assert_eq!((&answer["data"], code), expected, "{answer:.300}");
                    }
                    503 => assert!(retry && code == "OVERLOADED", "{answer:.300}"),
                    other => panic!("{other}: {answer:.300}"),
                }
            }
        });
        futures_util::future::join_all(asked).await;
        if begun.elapsed() > attack_length() {
            break;
        }
    }
    let mut socket = Socket::graphql_at(&server.url).await;
    socket.subscribe("1", &cases[1]).await;
    let message = socket.next().await;
    assert_eq!(message["payload"][0]["extensions"]["code"], "ANSWER_TOO_LARGE", "{message:.300}");
    honest.finish(&server).await;
}

/// A server whose PostgreSQL keeps every reader of runs waiting.
async fn locked_server() -> (Server, DatabaseConnection) {
    let server = Server::start(Database::postgres().await).await;
    server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    let mut options = ConnectOptions::new(&server.database.url);
    options.max_connections(1);
    let holder = sea_orm::Database::connect(options).await.expect("a connection");
    holder.execute_unprepared("BEGIN; LOCK TABLE source_runs IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    (server, holder)
}

/// Repeats an operation until it exceeds its time limit; the database may give up first. Returns how long that took.
async fn time_to_timeout(mut ask: impl AsyncFnMut() -> Value) -> Duration {
    loop {
        let asked = Instant::now();
        let errors = ask().await;
        match errors[0]["extensions"]["code"].as_str() {
            Some("TIMEOUT") => return asked.elapsed(),
            Some("DATABASE_UNAVAILABLE") => {}
            other => panic!("{other:?}: {errors}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operation_ends_after_10_s_with_the_error_of_its_protocol() {
    let (server, holder) = locked_server().await;
    let client = unpooled();
    let url = format!("{}/graphql", server.url);
    let post = || client.post(&url).json(&json!({"query": LOCKED_QUERY}));
    // Two operations read runs at the same time, until the database gives up waiting for the lock. The others wait longer.
    let crowd: Vec<_> = (0..24)
        .map(|_| {
            let request = post();
            tokio::spawn(async move {
                loop {
                    drop(request.try_clone().expect("a body in memory").send().await);
                }
            })
        })
        .collect();
    let over_http = time_to_timeout(async || {
        let response = in_time("an answer", post().send()).await.expect("an answer");
        let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
        let errors = in_time("a body", response.json::<Value>()).await.expect("JSON")["errors"].clone();
        let is_timeout = errors[0]["extensions"]["code"] == "TIMEOUT";
        assert_eq!((status, retry), if is_timeout { (503, true) } else { (200, false) }, "{errors}");
        errors
    });
    let over_websocket = time_to_timeout(async || {
        let mut socket = Socket::graphql_at(&server.url).await;
        socket.subscribe("1", LOCKED_QUERY).await;
        let message = socket.next().await;
        match message["type"].as_str() {
            Some("error") => message["payload"].clone(),
            Some("next") => message["payload"]["errors"].clone(),
            _ => panic!("{message}"),
        }
    });
    let over_events = time_to_timeout(async || {
        let response = in_time("an answer", post().header("accept", "text/event-stream").send()).await;
        let text = in_time("a stream", response.expect("an answer").text()).await.expect("a stream that ends");
        let (next, rest) = text.split_once("\n\n").expect("two events");
        assert!(rest.starts_with("event: complete\n"), "{rest}");
        let data = next.strip_prefix("event: next\ndata: ").expect("the errors first");
        serde_json::from_str::<Value>(data).expect("JSON")["errors"].clone()
    });
    let (over_http, over_websocket, over_events) = tokio::join!(over_http, over_websocket, over_events);
    for took in [over_http, over_websocket, over_events] {
        assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(10) + ALLOWANCE, "{took:?}");
    }
    for one in crowd {
        one.abort();
    }
    holder.execute_unprepared("ROLLBACK").await.expect("unlocked");
    eventually("runs can be read", async || {
        let (_, answer) = server::answer(post()).await;
        answer["data"]["sourceRuns"]["nodes"][0]["id"].is_string().then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_construction_take_64_mib_at_most() {
    let (server, holder) = locked_server().await;
    let client = unpooled();
    // It costs about 49,000, for which 3 MiB are reserved: 21 of them at a time.
    let fields: String = (0..97).map(|n| format!("a{n}: id ")).collect::<Vec<_>>().concat();
    let query = format!("{{ sourceRuns(first: 500) {{ nodes {{ {fields} }} }} }}");
    let ask = async || {
        let asked = Instant::now();
        let request = client.post(format!("{}/graphql", server.url)).json(&json!({"query": query}));
        let response = in_time("an answer", request.send()).await.expect("an answer");
        let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
        let answer: Value = in_time("a body", response.json()).await.expect("JSON");
        (status, retry, answer, asked.elapsed())
    };
    let answers = futures_util::future::join_all((0..30).map(|_| ask())).await;
    let mut refused = 0;
    for (status, retry, answer, took) in answers {
        match answer["errors"][0]["extensions"]["code"].as_str() {
            Some("OVERLOADED") => {
                refused += 1;
                assert_eq!((status, retry), (503, true), "{answer}");
                assert!(
                    answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("64 MiB")),
                    "{answer}"
                );
                assert!(took < Duration::from_secs(2) + ALLOWANCE, "{took:?}");
            }
            Some("TIMEOUT" | "DATABASE_UNAVAILABLE") => {}
            other => panic!("{other:?}: {answer}"),
        }
    }
    assert!((5..=15).contains(&refused), "{refused} of 30 are refused");
    holder.execute_unprepared("ROLLBACK").await.expect("unlocked");
    eventually("memory is given back", async || {
        let answers = futures_util::future::join_all((0..15).map(|_| ask())).await;
        answers.iter().all(|(status, _, answer, _)| *status == 200 && answer.get("errors").is_none()).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_payload_of_more_than_8_mib_is_an_error() {
    let server = Server::start(Database::sqlite()).await;
    let runs: Vec<Value> = (0..500).map(|n| run(&format!("source-{n:03}-{}", "x".repeat(40)))).collect();
    server.store_runs("/api/v1/source-runs", &runs).await;
    let fields: String = (0..900).map(|n| format!("a{n}: source ")).collect::<Vec<_>>().concat();
    let query = format!(
        "subscription {{ pipelineStatusUpdates {{ scrapingHealth {{ sources(all: true) {{ {fields} }} }} }} }}"
    );
    let mut socket = Socket::graphql(&server).await;
    socket.subscribe("1", &query).await;
    let message = socket.next().await;
    assert_eq!(message["type"], "error", "{message:.300}");
    assert_eq!(message["payload"][0]["extensions"]["code"], "ANSWER_TOO_LARGE", "{message:.300}");
    // The connection and other subscriptions go on.
    socket.subscribe("2", "subscription { pipelineStatusUpdates { revision } }").await;
    assert_eq!(socket.next().await["type"], "next");
    let request = server.post("/graphql").header("accept", "text/event-stream").json(&json!({"query": query}));
    let response = in_time("an answer", request.send()).await.expect("an answer");
    let text = in_time("a stream", response.text()).await.expect("a stream that ends");
    assert!(text.contains("ANSWER_TOO_LARGE") && text.contains("event: complete"), "{text:.300}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_of_more_than_256_kib_is_refused() {
    let server = Server::start(Database::sqlite()).await;
    let padded = |bytes: usize| {
        let body = json!({"query": "{ pipelines { key } }", "extensions": {"padding": ""}}).to_string();
        body.replace("\"padding\":\"", &format!("\"padding\":\"{}", "x".repeat(bytes - body.len())))
    };
    for (bytes, expect) in [(256 * 1024, 200), (256 * 1024 + 1, 413)] {
        let request = server.post("/graphql").header("content-type", "application/json").body(padded(bytes));
        let answer = answer(request, expect).await;
        if expect == 413 {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BODY_TOO_LARGE", "{answer}");
        }
    }
    server.stop().await;
}
