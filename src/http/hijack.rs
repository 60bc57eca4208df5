//! Takes HTTP/1.1 connections out of hyper: the router, middleware and access checks answer as usual; then the socket goes to
//! a connection of `push`, and hyper's state and buffers are dropped.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::push::io::socket::Socket;
use crate::push::io::tcp::{ConnectionGuard, TcpSocket};

/// What runs on the connection, given its socket, the bytes that were read behind the request, and the response's head,
/// which is to be sent first.
type Continuation = Box<dyn FnOnce(Box<dyn Socket>, Bytes, Vec<u8>) + Send>;

/// An extension of a response: the connection leaves hyper, and the response's head is sent on it.
#[derive(Clone)]
pub(super) struct Hijack {
    // Extensions must be cloneable; a connection leaves hyper once.
    run: Arc<Mutex<Option<Continuation>>>,
}

impl Hijack {
    /// Attaches to a response what runs on its connection.
    pub(super) fn attach(
        response: &mut Response<Body>,
        run: impl FnOnce(Box<dyn Socket>, Bytes, Vec<u8>) + Send + 'static,
    ) {
        response.extensions_mut().insert(Self { run: Arc::new(Mutex::new(Some(Box::new(run)))) });
    }

    /// Runs it on the connection.
    pub(super) fn run(&self, stream: TcpStream, guard: ConnectionGuard, read: Bytes, head: &Response<()>) {
        let run = self.run.lock().take();
        if let Some(run) = run {
            run(Box::new(TcpSocket::new(stream, guard)), read, write_head(head));
        }
    }
}

/// The head of an HTTP/1.1 response.
fn write_head(response: &Response<()>) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    // The router saw an empty body and counted it; what follows has no length.
    for (name, value) in response.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
        head.extend_from_slice(&canonical_header_case(name.as_str()));
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if status != StatusCode::SWITCHING_PROTOCOLS {
        // The connection ends with the stream: clients must not reuse it.
        head.extend_from_slice(b"connection: close\r\n");
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    head.extend_from_slice(format!("date: {date}\r\n\r\n").as_bytes());
    head
}

/// A header's name as RFC 6455 writes it: header names ignore case, but some clients do not.
fn canonical_header_case(name: &str) -> Vec<u8> {
    let Some(rest) = name.strip_prefix("sec-websocket-") else { return name.as_bytes().to_vec() };
    let mut capitals = b"Sec-WebSocket-".to_vec();
    capitals.extend_from_slice(rest.as_bytes());
    if let Some(first) = capitals.get_mut("Sec-WebSocket-".len()) {
        first.make_ascii_uppercase();
    }
    capitals
}
