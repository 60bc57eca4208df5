//! What both kinds of WebSocket share: the handshake, reading, and ending.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, Response, Version};
use bytes::Bytes;
use metrics::counter;

use crate::http::Limits;
use crate::http::hijack::websocket_head;
use crate::http::problem::Problem;
use crate::http::streams::until_end;
use crate::push::connection::Peer;
use crate::push::disconnect::Dropped;
use crate::push::profile::Manner;
use crate::push::protocol::ws_frame::{Close, Message, Reader, write_pong};
use crate::push::rate_limit::MessageRate;

/// A ping without a payload.
pub(super) const PING: &[u8] = &[0x89, 0];

/// Answers a handshake; the connection is then to be taken over.
pub(super) fn handshake(
    version: Version,
    headers: &HeaderMap,
    protocol: Option<&'static str>,
) -> Result<Response<Body>, Problem> {
    if version != Version::HTTP_11 {
        return Err(Problem::bad_request("a WebSocket is opened by HTTP/1.1"));
    }
    websocket_head(headers, protocol).map_err(|(status, why)| Problem::new(status, "BAD_HANDSHAKE", why))
}

/// Closes, and counts the code.
pub(super) fn close(peer: &Arc<Peer>, close: &Close) {
    count(close.code);
    let mut last = Vec::new();
    close.write(&mut last);
    peer.close(&last);
}

/// What is said when the server stops; clients come back, to another or to its successor.
pub(super) fn restarting(out: &mut Vec<u8>) {
    count(1012);
    Close::new(1012, "Service restart").write(out);
}

/// A message of the protocol above.
#[derive(Debug)]
pub(super) enum Heard {
    /// Text.
    Text(String),
    /// Anything else.
    Binary,
}

/// Bytes that are read before other connections have their turn.
const TURN_BYTES: usize = 64 * 1024;
/// Frames that are handled before other connections have their turn.
const TURN_FRAMES: usize = 32;

/// How far the frames were handled that have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handled {
    /// All of them.
    All,
    /// As many as one turn has.
    Turn,
    /// Up to the last word.
    Last,
}

/// Reads until the connection ends. Pings and closes are answered here; what else comes is heard.
pub(super) async fn listen(
    peer: &Arc<Peer>,
    already: Bytes,
    limits: Limits,
    mut hear: impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>,
) {
    let (mut reader, mut rate) = (Reader::new(limits.message_size), MessageRate::new(limits.messages));
    reader.push(&already);
    drop(already);
    let mut bytes = 0;
    loop {
        match handle(peer, &mut reader, &mut rate, &mut hear) {
            Handled::All => {}
            Handled::Turn => {
                tokio::task::yield_now().await;
                continue;
            }
            Handled::Last => break,
        }
        match read(peer, &mut reader) {
            Ok(Some(count)) => {
                bytes += count;
                if bytes >= TURN_BYTES {
                    bytes = 0;
                    tokio::task::yield_now().await;
                }
            }
            Ok(None) => {
                bytes = 0;
                peer.readable().await;
            }
            Err(_) => return,
        }
    }
    drop(reader);
    until_end(peer).await;
}

/// Reads a part of what has arrived. The buffer is on the stack: a quiet connection holds none.
fn read(peer: &Peer, reader: &mut Reader) -> io::Result<Option<usize>> {
    let mut buffer = [0; 4_096];
    let count = peer.try_read(&mut buffer)?;
    if let Some(count) = count {
        reader.push(&buffer[..count]);
    }
    Ok(count)
}

/// Handles frames, at most as many as one turn has. Every frame counts against the limit, whatever is in it.
fn handle(
    peer: &Arc<Peer>,
    reader: &mut Reader,
    rate: &mut MessageRate,
    hear: &mut impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>,
) -> Handled {
    for _ in 0..TURN_FRAMES {
        let last = match reader.next_message() {
            Ok(None) => return Handled::All,
            Ok(Some(_)) if !rate.allows(Instant::now()) => {
                Dropped::Flood.count();
                let limit = rate.limit().per_second;
                Close::new(1008, format!("too many messages; the limit is {limit} a second (max_messages_per_second)"))
            }
            // The same code goes back; 1000 stands for none.
            Ok(Some(Message::Close(code))) => Close::new(code.unwrap_or(1000), ""),
            Ok(Some(message)) => {
                answer(peer, message, hear);
                continue;
            }
            Err(close) => close,
        };
        count(last.code);
        let mut frame = Vec::new();
        last.write(&mut frame);
        peer.finish(&frame);
        return Handled::Last;
    }
    Handled::Turn
}

fn answer(peer: &Arc<Peer>, message: Message, hear: &mut impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>) {
    match message {
        // After its own last word the server only waits for the answer to it.
        _ if peer.is_closed() => {}
        Message::Text(text) => hear(peer, Heard::Text(text)).unwrap_or_else(|why| close(peer, &why)),
        Message::Binary(_) => hear(peer, Heard::Binary).unwrap_or_else(|why| close(peer, &why)),
        Message::Ping(payload) => {
            let mut pong = Vec::new();
            write_pong(&payload, &mut pong);
            peer.send(&pong);
        }
        Message::Fragment | Message::Pong | Message::Close(_) => {}
    }
}

fn count(code: u16) {
    counter!("pipewatch_websocket_closes_total", "code" => label(code)).increment(1);
}

/// A label for each code that has a meaning here. A client sends what it likes, and each label is kept for good.
fn label(code: u16) -> &'static str {
    match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        4001 => "4001",
        4400 => "4400",
        4401 => "4401",
        4403 => "4403",
        4408 => "4408",
        4409 => "4409",
        4429 => "4429",
        _ => "other",
    }
}

/// How a kind of WebSocket is kept alive and ended.
pub(super) const fn manner(transport: &'static str) -> Manner {
    Manner { transport, beat: PING, answers: true, goodbye: restarting, answers_last: true }
}
