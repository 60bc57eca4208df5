//! A WebSocket handshake and the bytes after it: hyper reads the head, and bytes it has already read precede those still in
//! the socket.
#![no_main]

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use pipewatch::push::protocol::handshake::handshake_response;
use pipewatch::push::protocol::ws_reader::{Incoming, Reader};

const MOST: usize = 4_096;

fuzz_target!(|input: (&[u8], &[u8], u16, u16)| {
    let (head, bytes, already, cut) = input;
    let mut request = Request::new(());
    *request.headers_mut() = headers(head);
    if let Ok(response) = handshake_response::<(), ()>(&request, None) {
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    }
    let (already, rest) = bytes.split_at(usize::from(already).min(bytes.len()));
    let in_pieces = std::iter::once(already).chain(rest.chunks(usize::from(cut).max(1)));
    assert_eq!(read(in_pieces), read(std::iter::once(bytes)), "the same messages, however the bytes are split");
});

/// The messages, and the close code.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<u16>) {
    let (mut reader, mut messages) = (Reader::new(MOST), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(close) => return (messages, Some(close.code)),
            }
        }
    }
    (messages, None)
}

/// One header per line, in the order of these names.
fn headers(head: &[u8]) -> HeaderMap {
    let names = [
        header::UPGRADE,
        header::CONNECTION,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_KEY,
        header::CONNECTION,
    ];
    let values = head.split(|byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().zip(values) {
        headers.extend(value.ok().map(|value| (name, value)));
    }
    headers
}
