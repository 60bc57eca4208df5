//! Responses that stay open: event streams, and Apollo's multipart responses.
//!
//! On HTTP/1.1 such a response leaves hyper, and each message is one chunk. On HTTP/2 and HTTP/1.0 the same bytes go through
//! a response body.

use axum::body::Body;
use axum::http::{HeaderValue, Response, Version, header};

use crate::http::hijack::Hijack;
use crate::push::framing::Framing;
use crate::push::io::body;
use crate::push::io::socket::Socket;

/// The media type of Server-Sent Events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// The response to a HEAD: headers only.
pub(super) fn head(content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Opens a response. `begin` gets its socket, the bytes to send first, and its framing.
pub(super) fn open(
    version: Version,
    content_type: &'static str,
    first: &'static [u8],
    begin: impl FnOnce(Box<dyn Socket>, Vec<u8>, Framing) + Send + 'static,
) -> Response<Body> {
    let mut response = head(content_type);
    if version == Version::HTTP_11 {
        response.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        Hijack::attach(&mut response, move |socket, _, mut head| {
            if !first.is_empty() {
                Framing::Chunked.write_chunk(first, &mut head);
            }
            begin(socket, head, Framing::Chunked);
        });
    } else {
        let (socket, stream) = body::channel();
        *response.body_mut() = Body::new(stream);
        begin(Box::new(socket), first.to_vec(), Framing::Raw);
    }
    response
}
