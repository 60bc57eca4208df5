//! What all streams of Server-Sent Events share: their response, how they are kept alive and ended.
//!
//! On HTTP/1.1 a stream leaves hyper, and each event is one chunk of the response (RFC 9112, 7.1): what is behind the size of
//! the chunk is the same for everybody. On HTTP/2 and HTTP/1.0 the same events go through a response's body.

use axum::body::Body;
use axum::http::{HeaderValue, Response, Version, header};

use crate::http::hijack::Takeover;
use crate::push::io::body;
use crate::push::io::socket::Wire;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::profile::Manner;

/// The end of a chunk. In a body without chunks it is an empty line more, which means nothing there.
pub(super) const CHUNK_END: &[u8] = b"\r\n";
/// The chunk that ends a response.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How a stream on HTTP/1.1 is kept alive and ended.
pub(super) const fn manner(transport: &'static str) -> Manner {
    let goodbye = |out: &mut Vec<u8>| out.extend_from_slice(LAST_CHUNK);
    Manner { transport, beat: b"3\r\n:\n\n\r\n", answers: false, goodbye, answers_last: false }
}

/// The same in a body.
pub(super) const fn manner_in_body(transport: &'static str) -> Manner {
    Manner { transport, beat: b":\n\n", answers: false, goodbye: |_| {}, answers_last: false }
}

/// Events of one kind on HTTP/1.1: `body` makes the event and the [`CHUNK_END`] behind it, `ending` writes the last chunks.
pub(super) const fn dress(
    slot: usize,
    body: fn(&Payload) -> Vec<u8>,
    ending: fn(&str, &Ending, &mut Vec<u8>),
) -> Dress {
    Dress {
        slot,
        body,
        lead: |_, body, out| chunk_size(body - CHUNK_END.len(), out),
        alert: None,
        ending,
        ends_connection: true,
    }
}

/// The same in a body.
pub(super) const fn dress_in_body(
    slot: usize,
    body: fn(&Payload) -> Vec<u8>,
    ending: fn(&str, &Ending, &mut Vec<u8>),
) -> Dress {
    Dress { slot, body, lead: |_, _, _| {}, alert: None, ending, ends_connection: true }
}

/// Appends the line that begins a chunk.
pub(super) fn chunk_size(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

/// A whole chunk.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(bytes.len() + 12);
    chunk_size(bytes.len(), &mut chunk);
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(CHUNK_END);
    chunk
}

/// The response of a stream. `begin` gets the wire, what is to be sent on it first, and whether it is to write chunks.
pub(super) fn open(
    version: Version,
    first: &'static [u8],
    begin: impl FnOnce(Box<dyn Wire>, Vec<u8>, bool) + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if version == Version::HTTP_11 {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        Takeover::mark(&mut response, move |wire, _, mut head| {
            if !first.is_empty() {
                head.extend_from_slice(&chunk(first));
            }
            begin(wire, head, true);
        });
    } else {
        let (wire, stream) = body::pair();
        *response.body_mut() = Body::new(stream);
        begin(Box::new(wire), first.to_vec(), false);
    }
    response
}
