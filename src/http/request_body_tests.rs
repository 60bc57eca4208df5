use std::io::Write as _;

use axum::body::Body;
use axum::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LIMIT: usize = 256 * KIB;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn request(encoding: Option<&str>, body: impl Into<Body>) -> Request {
    let mut request = Request::new(body.into());
    if let Some(encoding) = encoding {
        request.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().expect("a header"));
    }
    request
}

async fn read(bodies: &Bodies, request: Request) -> Result<(Vec<u8>, Reservation), RequestBodyError> {
    bodies.parse(request, LIMIT, <[u8]>::to_vec).await
}

#[tokio::test]
async fn bodies_are_read_whole_or_refused() {
    let (text, large) = (b"text".as_slice(), vec![b' '; LIMIT]);
    let packed = gzip(text);
    let bomb = gzip(&vec![0; LIMIT + 1]);
    let truncated = &packed[..packed.len() - 1];
    let bad_checksum = [&packed[..packed.len() - 8], &[0; 8]].concat();
    for (encoding, body, expect) in [
        (None, text, Ok(text)),
        (None, b"", Ok(b"".as_slice())),
        (None, &large, Ok(large.as_slice())),
        (None, &vec![0; LIMIT + 1], Err(413)),
        (Some("identity"), text, Ok(text)),
        (Some("gzip"), &packed, Ok(text)),
        (Some("X-GZIP"), &packed, Ok(text)),
        (Some("gzip"), &gzip(&large), Ok(&large)),
        (Some("gzip"), &[&packed[..], &packed].concat(), Ok(b"texttext")),
        (Some("gzip"), &bomb, Err(413)),
        (Some("gzip"), b"", Err(400)),
        (Some("gzip"), text, Err(400)),
        (Some("gzip"), truncated, Err(400)),
        (Some("gzip"), &[&packed[..], b"x"].concat(), Err(400)),
        (Some("gzip"), &bad_checksum, Err(400)),
        (Some("br"), text, Err(415)),
        (Some("gzip, gzip"), text, Err(415)),
    ] {
        let bodies = Bodies::default();
        let read = read(&bodies, request(encoding, Bytes::copy_from_slice(body))).await;
        let read = read.as_ref().map(|(bytes, _)| bytes.as_slice()).map_err(|error| error.status().as_u16());
        assert_eq!(read, expect, "{encoding:?} {} bytes", body.len());
    }
}

#[tokio::test]
async fn announced_length_over_the_limit_is_refused_unread() {
    let mut endless = request(None, Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>()));
    endless.headers_mut().insert(header::CONTENT_LENGTH, (LIMIT + 1).into());
    endless.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
    let refused = read(&Bodies::default(), endless).await.map(drop);
    assert_eq!(refused, Err(RequestBodyError::TooLarge(LIMIT)));
}

#[tokio::test]
async fn few_bodies_wait_to_be_parsed_and_small_ones_never() {
    let bodies = Bodies::default();
    let threads = bodies.parsing.available_permits();
    let busy = bodies.parsing.acquire_many(u32::try_from(threads).expect("a few")).await.expect("never closed");
    let packed = || request(Some("gzip"), gzip(b"text"));
    let waiting = futures_util::future::join_all((0..=MAX_WAITING).map(|_| read(&bodies, packed())));
    let (answers, ()) = tokio::join!(waiting, async {
        assert!(read(&bodies, request(None, "text")).await.is_ok(), "a small body is parsed at once");
        drop(busy);
    });
    let refused = answers.iter().filter(|answer| matches!(answer, Err(RequestBodyError::NoRoom))).count();
    assert_eq!(refused, 1);
    assert_eq!((bodies.waiting.available_permits(), bodies.parsing.available_permits()), (MAX_WAITING, threads));
}

#[tokio::test]
async fn memory_is_reserved_while_a_body_is_used_and_given_back() {
    let bodies = Bodies::new(2 * SMALL, 256 * KIB);
    let room = || (bodies.small.available_permits(), bodies.large.available_permits());
    let whole = room();
    let large = || request(None, Bytes::from(vec![b' '; LIMIT]));
    let (_, first) = read(&bodies, large()).await.expect("room");
    assert_eq!(room(), (64, 64), "64 KiB of the one budget, 192 KiB of the other");
    assert_eq!(read(&bodies, large()).await.map(drop), Err(RequestBodyError::NoRoom));
    assert_eq!(room(), (64, 64), "a refused request holds nothing");
    let (_, mut small) = read(&bodies, request(None, "small")).await.expect("room for small bodies");
    assert_eq!(small.cover(LIMIT), Err(RequestBodyError::NoRoom));
    drop(first);
    assert_eq!(small.cover(LIMIT), Ok(()));
    drop(small);
    assert_eq!(room(), whole);
    let bomb = request(Some("gzip"), gzip(&vec![0; LIMIT + 1]));
    assert_eq!(read(&bodies, bomb).await.map(drop), Err(RequestBodyError::TooLarge(LIMIT)));
    assert_eq!(room(), whole);
}
