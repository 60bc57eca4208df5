//! What both kinds of WebSocket share: the handshake, reading, and ending.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, Version};
use bytes::Bytes;
use metrics::counter;

use crate::http::frame::{Close, Message, Reader, write_pong};
use crate::http::problem::Problem;
use crate::http::streams::until_end;
use crate::http::takeover::websocket_head;
use crate::live::manner::Manner;
use crate::live::peer::Peer;

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

/// Whether reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// More may come.
    Open,
    /// The last word was said: what still comes is not looked at, but taken, or the system would cut the connection
    /// before the peer has read it.
    Finished,
    /// The connection has ended.
    Ended,
}

/// Reads until the connection ends. Pings and closes are answered here; what else comes is heard.
pub(super) async fn listen(
    peer: &Arc<Peer>,
    already: Bytes,
    most: usize,
    mut hear: impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>,
) {
    let mut reader = Reader::new(most);
    let mut reading = take(peer, &mut reader, &already, &mut hear);
    drop(already);
    while reading == Reading::Open {
        peer.readable().await;
        reading = read(peer, &mut reader, &mut hear);
    }
    drop(reader);
    if reading == Reading::Finished {
        until_end(peer).await;
    }
}

/// Reads what is there. The buffer is on the stack: a connection that says nothing holds none.
fn read(
    peer: &Arc<Peer>,
    reader: &mut Reader,
    hear: &mut impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>,
) -> Reading {
    let mut buffer = [0; 4_096];
    loop {
        match peer.try_read(&mut buffer) {
            Ok(Some(count)) => match take(peer, reader, &buffer[..count], hear) {
                Reading::Open => {}
                done => return done,
            },
            Ok(None) => return Reading::Open,
            Err(_) => return Reading::Ended,
        }
    }
}

fn take(
    peer: &Arc<Peer>,
    reader: &mut Reader,
    bytes: &[u8],
    hear: &mut impl FnMut(&Arc<Peer>, Heard) -> Result<(), Close>,
) -> Reading {
    let mut last = None;
    let read = reader.read(bytes, |message| {
        if last.is_some() {
            return;
        }
        match message {
            // The same code goes back; 1000 stands for none.
            Message::Close(code) => last = Some(Close::new(code.unwrap_or(1000), "")),
            // After its own last word the server only waits for the answer to it.
            _ if peer.is_closed() => {}
            Message::Text(text) => hear(peer, Heard::Text(text)).unwrap_or_else(|why| close(peer, &why)),
            Message::Binary(_) => hear(peer, Heard::Binary).unwrap_or_else(|why| close(peer, &why)),
            Message::Ping(payload) => {
                let mut pong = Vec::new();
                write_pong(&payload, &mut pong);
                peer.send(&pong);
            }
            Message::Pong => {}
        }
    });
    match last.map_or(read, Err) {
        Ok(()) => Reading::Open,
        Err(close) => {
            count(close.code);
            let mut frame = Vec::new();
            close.write(&mut frame);
            peer.finish(&frame);
            Reading::Finished
        }
    }
}

fn count(code: u16) {
    counter!("pipewatch_websocket_closes_total", "code" => code.to_string()).increment(1);
}

/// How a kind of WebSocket is kept alive and ended.
pub(super) const fn manner(transport: &'static str) -> Manner {
    Manner { transport, beat: PING, answers: true, goodbye: restarting, answers_last: true }
}
