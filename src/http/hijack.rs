//! How a stream or socket leaves hyper: the normal router, middleware and access checks answer; then, on HTTP/1.1, the
//! socket is given up to a peer of its own and hyper's machinery and buffers are released.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use bytes::Bytes;
use tokio::net::TcpStream;

use crate::push::io::socket::Wire;
use crate::push::io::tcp::{ConnectionGuard, TcpWire};

/// What goes on: given the wire, the bytes that were read behind the request, and the response's head, to be sent first.
type Continuation = Box<dyn FnOnce(Box<dyn Wire>, Bytes, Vec<u8>) + Send>;

/// An extension of a response: the connection is taken over with its head.
#[derive(Clone)]
pub(super) struct Takeover {
    // Extensions must be cloneable; a connection is taken over once.
    begin: Arc<Mutex<Option<Continuation>>>,
}

impl Takeover {
    /// Marks a response.
    pub(super) fn mark(
        response: &mut Response<Body>,
        begin: impl FnOnce(Box<dyn Wire>, Bytes, Vec<u8>) + Send + 'static,
    ) {
        response.extensions_mut().insert(Self { begin: Arc::new(Mutex::new(Some(Box::new(begin)))) });
    }

    /// Takes the connection over.
    pub(super) fn begin(&self, stream: TcpStream, guard: ConnectionGuard, read: Bytes, head: &Response<()>) {
        let begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(begin) = begin {
            begin(Box::new(TcpWire::new(stream, guard)), read, write_head(head));
        }
    }
}

/// A response's head as HTTP/1.1 has it.
fn write_head(response: &Response<()>) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    // The router has counted the body that it knows of, which is none; what follows here has no length.
    for (name, value) in response.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
        head.extend_from_slice(&capitals(name.as_str()));
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if status != StatusCode::SWITCHING_PROTOCOLS {
        // The connection ends with the stream: a client must not keep it for its next request.
        head.extend_from_slice(b"connection: close\r\n");
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    head.extend_from_slice(format!("date: {date}\r\n\r\n").as_bytes());
    head
}

/// A header's name as RFC 6455 writes it: names have no case, but there are clients that look for these letters.
fn capitals(name: &str) -> Vec<u8> {
    let Some(rest) = name.strip_prefix("sec-websocket-") else { return name.as_bytes().to_vec() };
    let mut capitals = b"Sec-WebSocket-".to_vec();
    capitals.extend_from_slice(rest.as_bytes());
    if let Some(first) = capitals.get_mut("Sec-WebSocket-".len()) {
        first.make_ascii_uppercase();
    }
    capitals
}

/// The head of an upgrade to WebSocket, if the request asks well for one.
///
/// # Errors
/// The status and the words of the refusal.
pub fn websocket_head(
    request: &HeaderMap,
    protocol: Option<&'static str>,
) -> Result<Response<Body>, (StatusCode, &'static str)> {
    let bad_request = |why| (StatusCode::BAD_REQUEST, why);
    let has = |name, token: &str| {
        let values = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(bad_request("expected a WebSocket handshake: Connection: Upgrade and Upgrade: websocket"));
    }
    if request.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "expected Sec-WebSocket-Version: 13"));
    }
    let key = request.get(header::SEC_WEBSOCKET_KEY).ok_or(bad_request("expected a Sec-WebSocket-Key"))?;
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response.body(Body::empty()).map_err(|_| bad_request("expected a good Sec-WebSocket-Key"))
}
