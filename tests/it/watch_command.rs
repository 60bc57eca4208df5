use std::process::Command;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::{Process, answer, client, program};
use crate::support::shell::{nowhere, ran};
use crate::support::terminal::Terminal;
use crate::support::{now, run, with};

async fn report(url: &str, pipeline: &str, change: serde_json::Value) {
    let report = with(with(run("load"), json!({"pipeline": pipeline})), change);
    assert_eq!(answer(client().post(format!("{url}/api/v1/source-runs")).json(&report)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_follows_the_status_in_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    report(&server.url, "billing", json!({})).await;
    let mut terminal = Terminal::start(folder.path(), &server.url, &["watch"], (24, 80));
    terminal.shows("● live").await;
    terminal.shows("billing").await;
    report(&server.url, "crm", json!({"outcome": "failed"})).await;
    terminal.shows("1 error").await;

    terminal.press("/bill\r");
    terminal.shows("search: bill").await;
    terminal.press("\r");
    terminal.shows("pipewatch › billing").await;
    terminal.shows("geocoding").await;
    report(&server.url, "billing", json!({"source": "unload", "timestamp": now()})).await;
    terminal.shows("unload").await;
    terminal.resize((40, 140));
    terminal.shows("LAST RUN CHECKS").await;
    terminal.press("a");
    terminal.shows("billing › alerts").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_shows_a_lost_server_and_reconnects() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve_for_restarts(folder.path());
    let url = server.url.clone();
    report(&url, "billing", json!({})).await;
    let terminal = Terminal::start(folder.path(), &url, &["watch", "billing"], (24, 80));
    terminal.shows("● live").await;
    server.kill();
    terminal.shows("○ offline, data ").await;
    terminal.shows("cannot reach").await;
    let server = Process::serve_at(folder.path(), &url);
    terminal.shows("● live").await;
    // setsid has become the program.
    let sent = Command::new("kill").args(["-TERM", &terminal.child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    assert_eq!(terminal.exit_status().await, Some(0));
    drop(server);
}

#[test]
fn watch_needs_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = ran(folder.path(), &nowhere(), &["watch"]);
    assert_eq!(ran.status, 64, "{ran:?}");
    assert!(ran.stderr.contains("needs a terminal"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_when_the_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = program(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]);
    let server = Process::start({
        serve.env("PIPEWATCH_TOKENS", "0123456789abcdef0123456789abcdef");
        serve
    });
    let mut terminal = Terminal::start(folder.path(), &server.url, &["watch"], (24, 80));
    terminal.shows("token refused").await;
    terminal.shows("requires an access token").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(77));
}

/// A proxy that does not let streams through.
async fn proxy_without_streams(server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = server.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 16 * 1024];
                let length = client.read(&mut head).await.unwrap_or_default();
                let head = &head[..length];
                if String::from_utf8_lossy(head).contains("text/event-stream") {
                    let refusal = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    return drop(client.write_all(refusal).await);
                }
                let Ok(mut upstream) = TcpStream::connect(&server).await else { return };
                // One request per connection, so that each is looked at.
                let head = String::from_utf8_lossy(head).replacen("\r\n", "\r\nconnection: close\r\n", 1);
                drop(upstream.write_all(head.as_bytes()).await);
                drop(tokio::io::copy_bidirectional(&mut client, &mut upstream).await);
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_polls_where_streams_are_blocked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    report(&server.url, "billing", json!({})).await;
    let url = proxy_without_streams(&server.url).await;
    let mut terminal = Terminal::start(folder.path(), &url, &["watch"], (24, 80));
    terminal.shows("◐ polling").await;
    terminal.shows("2 pipelines").await;
    report(&server.url, "crm", json!({})).await;
    terminal.shows("3 pipelines").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(0));
}
