use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use axum::http::Request;
use bytes::Bytes;
use h2::client::SendRequest;
use socket2::SockRef;

use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::server::{Process, client, program};
use crate::support::{ALLOWANCE, DEADLINE, eventually, in_time, now, run};

const PLAIN: &str = "/api/v1/ws/monitoring/pipeline-status";
pub(super) const STREAM: &str = "/api/v1/monitoring/pipeline-status/stream";
const TOKEN: &str = "a-token-of-the-tests";

pub(super) fn serve(folder: &tempfile::TempDir, arguments: &[&str]) -> Process {
    Process::serve(folder.path(), "sqlite://pipewatch.db", arguments)
}

fn address(server: &Process) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

/// Connects and sends some bytes.
fn connect(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    // The server may have closed it already.
    drop(stream.write_all(bytes));
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
}

/// The request head of a WebSocket handshake.
fn handshake(path: &str, protocol: Option<&str>) -> Vec<u8> {
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{protocol}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_request_heads_exclude_no_other_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--max-connections", "10"]);
    let honest = HonestClients::start(&server, None).await;
    let address = address(&server);
    let attack = tokio::task::spawn_blocking(move || {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // HEADERS of a stream that never end.
        let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
        let mut silent = Vec::new();
        for (count, bytes) in [
            (40, vec![]),
            (40, b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec()),
            (40, preface.to_vec()),
            (40, [&preface[..], &settings].concat()),
            (40, [&preface[..], &settings, &headers].concat()),
            (300, b"P".to_vec()),
        ] {
            silent.extend((0..count).map(|_| connect(&address, &bytes)));
        }
        let begun = Instant::now();
        for mut stream in silent {
            // The connection may end with a reset.
            drop(stream.read_to_end(&mut Vec::new()));
        }
        begun.elapsed()
    });
    let lasted = in_time("the server closes all of them", attack).await.expect("no panic");
    assert!(lasted < Duration::from_secs(10) + ALLOWANCE, "{lasted:?} instead of 10 s");
    assert!(server.metric("pipewatch_connections_dropped_total").await >= 400.0);
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_of_new_clients_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &[]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = address(&server);
            tokio::task::spawn_blocking(move || {
                let request = b"GET /api/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
                let streams: Vec<_> = (0..200).map(|_| connect(&address, request)).collect();
                let answered = streams.into_iter().filter_map(|mut stream| {
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).ok().filter(|_| answer.starts_with("HTTP/1.1 200"))
                });
                answered.count()
            })
        })
        .collect();
    for client in clients {
        assert_eq!(in_time("the answers", client).await.expect("no panic"), 200);
    }
}

/// Connects by HTTP/2 as a client that accepts a limited part of each response.
pub(super) async fn http2(server: &Process, window: u32) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address(server)).await.expect("a connection");
    let handshake = h2::client::Builder::new().initial_window_size(window).handshake(stream);
    let (client, connection) = in_time("a handshake", handshake).await.expect("HTTP/2");
    // It answers pings until the server closes the connection.
    tokio::spawn(async move { drop(connection.await) });
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_response_without_progress_is_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--write-timeout", "2s", "--interval", "100ms"]);
    let honest = HonestClients::start(&server, None).await;
    let before = server.resident();
    for window in [0, 2_000] {
        for path in ["/api/openapi.json", STREAM] {
            let mut client = http2(&server, window).await;
            let mut bodies = Vec::new();
            for _ in 0..50 {
                client = client.ready().await.expect("capacity for a stream");
                let request = Request::get(format!("{}{path}", server.url)).body(()).expect("a request");
                let (response, _) = client.send_request(request, true).expect("sent");
                bodies.push(in_time("a response", response).await.expect("a response").into_body());
            }
            let begun = Instant::now();
            for mut body in bodies {
                // The window is never opened again.
                let end = async { while let Some(Ok(_)) = body.data().await {} };
                in_time("the stream ends", end).await;
            }
            assert!(begun.elapsed() < Duration::from_secs(4) + ALLOWANCE, "{path} with a window of {window}");
        }
    }
    let dropped = server.metric("pipewatch_connections_dropped_total").await;
    assert!(dropped >= 200.0, "{dropped}");
    let growth = server.resident().saturating_sub(before);
    assert!(growth < 64 * 1024, "{growth} KiB more");
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_never_reads_is_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--write-timeout", "1s", "--interval", "100ms"]);
    let honest = HonestClients::start(&server, None).await;
    let post = client().post(format!("{}/api/v1/source-runs", server.url));
    let runs: Vec<_> = (0..500).map(|number| run(&format!("{}-{number:04}", "source".repeat(15)))).collect();
    assert_eq!(in_time("an answer", post.json(&runs).send()).await.expect("an answer").status(), 201);
    let answers = b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(300);
    let events = format!("GET {STREAM}?sources=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    for (name, request) in [
        ("many answers", answers),
        ("an event stream", events.into_bytes()),
        ("a WebSocket", handshake(&format!("{PLAIN}?sources=all"), None)),
    ] {
        let before = server.metric("pipewatch_connections_dropped_total").await;
        let stream = connect(&address(&server), b"");
        SockRef::from(&stream).set_recv_buffer_size(4_096).expect("set");
        (&stream).write_all(&request).expect("sent");
        eventually(&format!("{name} without reads is dropped"), || async {
            (server.metric("pipewatch_connections_dropped_total").await > before).then_some(())
        })
        .await;
        drop(stream);
    }
    honest.finish(&server).await;
}

/// Returns the close code among a server's frames.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    let end_of_head = frames.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    frames = &frames[end_of_head + 4..];
    loop {
        let (&first, &length) = (frames.first()?, frames.get(1)?);
        let (header, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([*frames.get(2)?, *frames.get(3)?]))),
            127 => (10, usize::try_from(u64::from_be_bytes(frames.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let payload = frames.get(header..header + length)?;
        if first == 0x88 {
            return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
        }
        frames = &frames[header + length..];
    }
}

/// Opens a WebSocket and sends `first`, and then `flood` as fast as possible until the server closes. Returns the
/// close code.
fn flood(address: &str, handshake: &[u8], first: &[u8], flood: &[u8]) -> Option<u16> {
    let stream = connect(address, handshake);
    let mut reading = stream.try_clone().expect("a handle");
    let heard = std::thread::spawn(move || {
        let mut heard = Vec::new();
        // The connection may end with a reset.
        drop(reading.read_to_end(&mut heard));
        heard
    });
    let many = flood.repeat(8 * 1024 / flood.len());
    let mut writing = &stream;
    drop(writing.write_all(first));
    while writing.write_all(&many).is_ok() {}
    drop(stream.shutdown(Shutdown::Write));
    close_code(&heard.join().expect("no panic"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_flood_is_closed_and_delays_no_other_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &[]);
    let mask = [0; 4];
    let empty = |first: u8| [&[first, 0x80][..], &mask].concat();
    let graphql = handshake("/graphql", Some("graphql-transport-ws"));
    let plain = handshake(PLAIN, None);
    let ping = [&[0x81, 0x8f][..], &mask, b"{\"type\":\"ping\"}"].concat();
    let honest = HonestClients::start(&server, None).await;
    for (name, handshake, first, repeated) in [
        ("empty pongs", &plain, vec![], empty(0x8a)),
        ("empty pongs before connection_init", &graphql, vec![], empty(0x8a)),
        ("pings", &plain, vec![], empty(0x89)),
        ("empty texts", &plain, vec![], empty(0x81)),
        ("empty fragments", &plain, empty(0x01), empty(0x00)),
        ("pings of the protocol", &graphql, vec![], ping),
    ] {
        let begun = Instant::now();
        let flooding: Vec<_> = (0..2)
            .map(|_| {
                let (address, handshake) = (address(&server), handshake.clone());
                let (first, repeated) = (first.clone(), repeated.clone());
                tokio::task::spawn_blocking(move || {
                    let mut codes = vec![flood(&address, &handshake, &first, &repeated)];
                    while begun.elapsed() < attack_length() {
                        codes.push(flood(&address, &handshake, &first, &repeated));
                    }
                    codes
                })
            })
            .collect();
        for codes in flooding {
            for code in in_time("the flood is stopped", codes).await.expect("no panic") {
                assert_eq!(code, Some(1008), "{name}");
            }
        }
    }
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_on_an_event_stream_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &[]);
    let honest = HonestClients::start(&server, None).await;
    let address = address(&server);
    let dropped = tokio::task::spawn_blocking(move || {
        let request = format!("GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let mut stream = connect(&address, request.as_bytes());
        while stream.write_all(&[b'x'; 8_192]).is_ok() {}
    });
    in_time("the connection is dropped", dropped).await.expect("no panic");
    assert!(server.metric("pipewatch_connections_dropped_total").await >= 1.0);
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_connections_have_a_separate_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]);
    command.args(["--max-connections", "3", "--connection-init-timeout", "1h"]).env("PIPEWATCH_TOKENS", TOKEN);
    let server = Process::start(command);
    let address = address(&server);
    let mut waiting = Vec::new();
    for (count, request) in [
        (50, vec![]),
        (50, b"P".to_vec()),
        (50, handshake(PLAIN, None)),
        (300, handshake("/graphql", Some("graphql-transport-ws"))),
    ] {
        waiting.extend((0..count).map(|_| connect(&address, &request)));
    }
    let honest = HonestClients::start(&server, Some(TOKEN)).await;
    let stream = async || {
        let request = client().get(format!("{}{STREAM}", server.url)).bearer_auth(TOKEN);
        in_time("an answer", request.send()).await.expect("an answer")
    };
    let held = [stream().await, stream().await];
    assert!(held.iter().all(|response| response.status() == 200), "two slots in addition to the honest subscriber's");
    assert_eq!(stream().await.status(), 503, "token holders have all of them");
    drop((held, waiting));
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_gets_the_newest_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--interval", "100ms"]);
    let post = client().post(format!("{}/api/v1/source-runs", server.url));
    let runs: Vec<_> = (0..20).map(|number| run(&format!("{}-{number}", "source".repeat(10)))).collect();
    assert_eq!(in_time("an answer", post.json(&runs).send()).await.expect("an answer").status(), 201);
    let honest = HonestClients::start(&server, None).await;
    let address = address(&server);
    let (received, behind) = tokio::task::spawn_blocking(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("set");
        socket.connect(&address.parse::<std::net::SocketAddr>().expect("an address").into()).expect("connected");
        let mut stream = TcpStream::from(socket);
        let request = format!("GET {STREAM}?sources=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        let (begun, mut text, mut buffer) = (Instant::now(), String::new(), [0; 1_200]);
        let mut received = 0;
        // 12 KB/s.
        while begun.elapsed() < Duration::from_secs(10) {
            let due = begun + Duration::from_millis(100) * u32::try_from(received / buffer.len()).expect("few");
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let count = stream.read(&mut buffer).expect("more");
            assert!(count > 0, "the stream continues");
            received += count;
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let mut instants = text.rmatch_indices("\"timestamp\":\"").map(|(at, mark)| &text[at + mark.len()..]);
        let newest = instants.find_map(|rest| rest.split_once('"')).map(|(instant, _)| instant);
        let parse = |text: &str| chrono::DateTime::parse_from_rfc3339(text).expect("an instant");
        let behind = parse(&now()) - parse(newest.expect("a status"));
        (received, behind)
    })
    .await
    .expect("no panic");
    println!("{received} bytes received, {behind} behind");
    assert!(received > 30_000, "it reads slowly: {received} bytes");
    assert!(server.metric("pipewatch_messages_skipped_total").await > 0.5, "older statuses are skipped");
    assert!(behind.to_std().is_ok_and(|behind| behind < ALLOWANCE), "{behind} behind");
    honest.finish(&server).await;
}
