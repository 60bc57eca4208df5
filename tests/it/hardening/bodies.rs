//! Request bodies that are expensive to decompress and parse.

use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::server::{Process, answer, client};
use crate::support::{eventually, run};

const RUNS: &str = "/api/v1/source-runs?pipeline=attacked";
const MIB: usize = 1024 * 1024;
/// Concurrent requests.
const AT_ONCE: usize = 16;
/// Maximum growth of the server after the attack, in KiB.
const GROWTH: u64 = 64 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn repeated(begin: &str, piece: &str, end: &str) -> String {
    let count = (8 * MIB - begin.len() - end.len()) / piece.len();
    format!("{begin}{}{end}", piece.repeat(count))
}

struct Attack {
    what: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// The status when memory is available.
    status: u16,
}

/// Bodies of nearly 8 MiB, each in the most expensive form.
fn attacks() -> Vec<Attack> {
    let json = "application/json";
    let ndjson = "application/x-ndjson";
    let run = run("a").to_string();
    let (first, last) = run.split_at(run.len() - 1);
    [
        ("empty objects", json, repeated("[", "{},", "{}]"), 413),
        ("arrays in arrays", json, repeated("", "[", ""), 400),
        ("numbers", json, repeated("[", "0,", "0]"), 413),
        ("numbers of one item", json, repeated(&format!("[{first},\"checks\":["), "0,", "0]}]"), 422),
        ("arrays of one item", json, repeated(&format!("[{first},\"checks\":["), "[[]],", "0]}]"), 422),
        ("fields of one item", json, repeated(&format!("[{first},"), "\"aaaaaa\":0,", &format!("\"b\":0{last}]")), 422),
        ("a text of one item", json, repeated(&format!("[{first},\"error\":\""), "x", &format!("\"{last}]")), 422),
        (
            "escapes of one item",
            json,
            repeated(&format!("[{first},\"error\":\""), "\\u00e9", &format!("\"{last}]")),
            422,
        ),
        ("large items", json, repeated("[", &format!("[{}0],", "0,".repeat(128 * 1024)), "0]"), 422),
        ("many unknown fields", ndjson, repeated("", &format!("{{{}\"y\":0}}\n", unknown_fields(900)), ""), 422),
        ("empty lines", ndjson, repeated("", "\n", ""), 200),
        ("short lines", ndjson, repeated("", "0\n", ""), 413),
    ]
    .into_iter()
    .map(|(what, content_type, body, status)| Attack { what, content_type, body: gzip(body.as_bytes()), status })
    .collect()
}

fn unknown_fields(count: usize) -> String {
    (0..count).map(|number| format!("\"articles_collectee{number}\":0,")).collect::<Vec<_>>().concat()
}

fn request(client: &Client, server: &Process, attack: &Attack) -> RequestBuilder {
    client
        .post(format!("{}{RUNS}", server.url))
        .header("content-type", attack.content_type)
        .header("content-encoding", "gzip")
        .body(attack.body.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_bodies_neither_delay_others_nor_keep_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let client = client();
    let attacks = attacks();
    for attack in &attacks {
        let (status, answer) = answer(request(&client, &server, attack)).await;
        let shown = answer.to_string().chars().take(300).collect::<String>();
        assert_eq!(status, attack.status, "{}: {shown}", attack.what);
    }
    let before = server.resident();
    let honest = HonestClients::start(&server, None).await;
    let begun = Instant::now();
    let (mut refused, mut rounds) = (0, 0);
    let mut next = attacks.iter().cycle();
    while rounds == 0 || begun.elapsed() < attack_length() {
        let round: Vec<&Attack> = next.by_ref().take(AT_ONCE).collect();
        let answers = round.iter().map(|attack| answer(request(&client, &server, attack)));
        for (attack, (status, answer)) in round.iter().zip(futures_util::future::join_all(answers).await) {
            assert!(status == attack.status || status == 503, "{}: {status}", attack.what);
            refused += usize::from(status == 503);
            assert!(status != 503 || answer["code"] == "OVERLOADED", "{answer}");
        }
        rounds += 1;
    }
    println!("{rounds} rounds of {AT_ONCE} in {:?}, {refused} refused", begun.elapsed());
    honest.finish(&server).await;
    eventually("the memory is released", || async {
        let growth = server.resident().saturating_sub(before);
        (growth < GROWTH).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_budget_are_refused_and_small_ones_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let honest = HonestClients::start(&server, None).await;
    let before = server.resident();
    // Each sends nearly all of a body of 8 MiB and holds the rest back.
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(hold(&server, 7 * MIB).await);
    }
    let client = client();
    let whole = || {
        let body = format!("{}{}", " ".repeat(7 * MIB), run("a"));
        client.post(format!("{}{RUNS}", server.url)).header("content-type", "application/json").body(body)
    };
    eventually("a large body is refused", || async {
        let response = whole().send().await.expect("an answer");
        let is_refused = response.status() == 503;
        assert!(is_refused || response.status() == 201, "{}", response.status());
        assert_eq!(response.headers().contains_key("retry-after"), is_refused);
        let body: Value = response.json().await.expect("JSON");
        assert!(!is_refused || body["code"] == "OVERLOADED", "{body}");
        is_refused.then_some(())
    })
    .await;
    assert!(server.resident().saturating_sub(before) < 160 * 1024, "{} KiB", server.resident() - before);
    drop(held);
    eventually("a large body is accepted again", || async { (answer(whole()).await.0 == 201).then_some(()) }).await;
    honest.finish(&server).await;
}

/// Opens a connection and sends a request without the end of its body.
async fn hold(server: &Process, length: usize) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt as _;
    let address = server.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST {RUNS} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        8 * MIB
    );
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b' '; length]).await
    };
    // A refused body is read to its end, or its connection is closed.
    drop(tokio::time::timeout(crate::support::DEADLINE, sent).await.expect("read in time"));
    stream
}
