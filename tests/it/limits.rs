use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Instant;

use pipewatch::config::Flags;
use serde_json::json;

use crate::support::clients::{Events, Socket};
use crate::support::server::{Process, answer, client, program};
use crate::support::{DEADLINE, Database, Server, eventually, in_time, run};

const RUNS: &str = "/api/v1/source-runs";
const PLAIN: &str = "/api/v1/ws/monitoring/pipeline-status";
const STREAM: &str = "/api/v1/monitoring/pipeline-status/stream";

/// A server that repeats no status in between, unless the test sets an interval.
async fn server(flags: Flags) -> Server {
    let interval = flags.interval.clone().or(Some("1h".into()));
    Server::start_with(Database::sqlite(), Flags { interval, ..flags }).await
}

#[tokio::test]
async fn connections_are_limited_and_permits_are_released() {
    let server = server(Flags { max_connections: Some(2), ..Flags::default() }).await;
    let first = Socket::plain(&server, "").await;
    let _second = Events::open(&server, "").await;
    assert_eq!(Socket::open(&server, PLAIN, None).await.map(drop), Err(503));
    assert_eq!(Socket::open(&server, "/graphql", Some("graphql-transport-ws")).await.map(drop), Err(503));
    let refused = server.get(STREAM).send().await.expect("a response");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(server.status("").await["overall_status"], "pending", "requests are not counted");
    drop(first);
    eventually("a place", || async { Socket::open(&server, PLAIN, None).await.ok() }).await;
    server.stop().await;
}

#[tokio::test]
async fn connections_per_address_are_limited() {
    let trusted_proxies = Some(vec!["127.0.0.1".into()]);
    let server = server(Flags { max_connections_per_address: Some(1), trusted_proxies, ..Flags::default() }).await;
    let open = async |client: &str| {
        in_time("a response", server.get(STREAM).header("x-forwarded-for", client).send()).await.expect("a response")
    };
    let _first = open("192.0.2.1").await;
    for (client, status) in [
        ("192.0.2.1", 503),
        ("::ffff:192.0.2.1", 503),
        ("192.0.2.2, 192.0.2.1", 503),
        ("192.0.2.1, 192.0.2.2", 200),
        ("2001:db8::1", 200),
        ("127.0.0.1", 200),
    ] {
        assert_eq!(open(client).await.status(), status, "{client}");
    }
    let _loopback = [Socket::plain(&server, "").await, Socket::plain(&server, "").await];
    server.stop().await;
}

#[tokio::test]
async fn operations_per_connection_are_limited() {
    let server = server(Flags { max_subscriptions: Some(2), ..Flags::default() }).await;
    let mut socket = Socket::graphql(&server).await;
    let watch = "subscription { pipelineStatusUpdates { revision } }";
    for id in ["1", "2"] {
        socket.subscribe(id, watch).await;
        assert_eq!(socket.next().await["type"], "next");
    }
    socket.subscribe("3", watch).await;
    let refused = socket.next().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("3")), "{refused}");
    socket.send(json!({"type": "complete", "id": "1"})).await;
    socket.subscribe("3", watch).await;
    assert_eq!(socket.next().await["type"], "next", "a place came back");
    server.stop().await;
}

#[tokio::test]
async fn depth_and_complexity_are_limited() {
    let server = server(Flags { max_depth: Some(3), max_complexity: Some(10), ..Flags::default() }).await;
    for (query, status, is_refused) in [
        ("{ alerts(first: 3) { nodes { id } } }", 200, false),
        ("{ pipelineStatus { scrapingHealth { sources { __typename } } } }", 400, true),
        ("{ a: pipelineStatus { dataQuality { basis { a } } } }", 200, true),
        ("{ alerts(first: 4) { nodes { id title } } }", 400, true),
        ("{ pipelines { key } }", 400, true),
    ] {
        let (answered, answer) = answer(server.post("/graphql").json(&json!({"query": query}))).await;
        assert_eq!((answered, answer.get("data").is_none()), (status, is_refused), "{query}: {answer}");
    }
    let mut socket = Socket::graphql(&server).await;
    socket.subscribe("1", "subscription { pipelineStatusUpdates { scrapingHealth { sources { source } } } }").await;
    assert_eq!(socket.next().await["type"], "error");
    server.stop().await;
}

#[tokio::test]
async fn identical_subscriptions_share_one_topic() {
    let server = server(Flags { max_distinct_subscriptions: Some(1), ..Flags::default() }).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::graphql(&server).await;
        socket.subscribe("1", "subscription { pipelineStatusUpdates { revision } }").await;
        assert_eq!(socket.next().await["type"], "next", "all in the one group that there may be");
        sockets.push(socket);
    }
    sockets[0].subscribe("2", "subscription { pipelineStatusUpdates { timestamp } }").await;
    assert_eq!(sockets[0].next().await["type"], "error", "another would be one group too many");
    server.stop().await;
}

/// Opens a plain WebSocket that never responds.
fn silent_websocket(url: &str, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    let head = format!(
        "GET {PLAIN}{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_misses_two_pongs_is_disconnected() {
    let flags = Flags { ping_after: Some("1s".into()), interval: Some("1h".into()), ..Flags::default() };
    let server = server(flags).await;
    let mut answering = Socket::plain(&server, "").await;
    answering.next().await;
    let mut stream = silent_websocket(&server.url, "");
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        // The server may end the connection with a reset.
        drop(stream.read_to_end(&mut heard));
        heard
    });
    let answers = async { answering.end().await };
    let heard = tokio::select! {
        heard = heard => heard.expect("no panic"),
        ending = answers => panic!("a client that answers pings stays connected: {ending:?}"),
    };
    let pings = heard.windows(2).filter(|bytes| *bytes == [0x89, 0]).count();
    assert_eq!(pings, 2, "two pings before the disconnect");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_never_reads_is_disconnected_without_affecting_others() {
    let flags = Flags { write_timeout: Some("1s".into()), interval: Some("100ms".into()), ..Flags::default() };
    let server = server(flags).await;
    // A status of about 256 KiB fills the socket buffers quickly.
    let runs: Vec<_> = (0..1_000).map(|number| run(&format!("{}-{number:04}", "source".repeat(25)))).collect();
    server.store_runs(RUNS, &runs).await;
    let _never_reads = silent_websocket(&server.url, "?sources=all");
    let mut reads = Socket::plain(&server, "?sources=none").await;
    let mut before = reads.next().await;
    let is_alone = async || {
        let (_, health) = answer(server.get("/api/health")).await;
        health["connections"] == 1
    };
    in_time("the slow client is disconnected", async {
        while !is_alone().await {
            let status = reads.next().await;
            assert!(status["timestamp"].as_str() > before["timestamp"].as_str());
            before = status;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_flood_does_not_delay_other_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &["--interval", "100ms"]);
    let mut stream =
        in_time("a response", client().get(format!("{}{STREAM}", server.url)).send()).await.expect("a stream");
    let address = server.url.trim_start_matches("http://").to_owned();
    let before = server.resident();
    let bomb = tokio::task::spawn_blocking(move || {
        for _ in 0..3_000 {
            drop(TcpStream::connect(&address).expect("a connection"));
        }
        // These connections send nothing.
        (0..200).map(|_| TcpStream::connect(&address).expect("a connection")).collect::<Vec<_>>()
    });
    let mut events = 0;
    while !bomb.is_finished() || events < 20 {
        let chunk = in_time("an event", stream.chunk()).await.expect("a complete chunk").expect("an open stream");
        events += usize::from(!chunk.is_empty());
    }
    let _silent = bomb.await.expect("no panic");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert_eq!(server.signal("TERM").code(), Some(0), "the silent do not hang the shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_file_limit_is_logged_and_pauses_accepting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = program(folder.path()).get_program().to_owned();
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" serve --listen 127.0.0.1:0 --database-url sqlite://pipewatch.db"]);
    shell.arg(path).current_dir(folder.path()).stderr(Stdio::from(log));
    let server = Process::start(shell);
    let address = server.url.trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    let many: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&address).expect("queued")).collect();
    let log = || std::fs::read_to_string(folder.path().join("log")).expect("the log");
    eventually("the log reports the failure to accept", || async {
        log().contains("cannot accept connections").then_some(())
    })
    .await;
    assert!(log().contains("the limit of open files (64)") && log().contains("max_connections = 10000"), "{}", log());
    let attempts = log().matches("cannot accept connections").count();
    assert!(attempts as u128 <= begun.elapsed().as_millis() / 100 + 1, "{attempts} attempts, 100 ms apart");
    drop(many);
    // The database needs files, too.
    eventually("accepting resumes when files are available", || async {
        let health = client().get(format!("{}/api/health", server.url)).timeout(DEADLINE);
        (answer(health).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}
