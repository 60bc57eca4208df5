//! Request bodies: read within a budget of memory over all connections, inflated and parsed off the async workers.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::Problem;

/// A body up to this size is parsed on the async worker; a larger or compressed one on a blocking thread.
const SMALL: usize = 64 * 1024;
/// Memory for the first 64 KiB of each body. It is reserved for them, so that large bodies never block small ones.
const SMALL_BUDGET: usize = 16 * 1024 * 1024;
/// Memory for bodies beyond their first 64 KiB. Both budgets together are 96 MiB.
const LARGE_BUDGET: usize = 80 * 1024 * 1024;
/// Bodies that may wait for a parsing thread. Further ones are refused, so that none waits for long.
const MAX_WAITING: usize = 64;
/// The initial capacity of a body's buffer.
const FIRST_CAPACITY: usize = 4 * 1024;
/// Bytes that are decompressed in one step.
const INFLATED_PIECE: usize = 32 * 1024;
/// The bytes of one permit of the budgets.
const KIB: usize = 1024;

/// The memory for request bodies of all connections, and the threads that parse large ones.
#[derive(Debug, Clone)]
pub struct Bodies {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    parsing: Arc<Semaphore>,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// It exceeds the limit of its route.
    #[error("the request body exceeds {} after decompression; split it", size(*.0))]
    TooLarge(usize),
    /// The memory for request bodies is used up.
    #[error("the server is reading too many large request bodies; retry in a few seconds")]
    NoRoom,
    /// Its Content-Encoding is not supported.
    #[error("the Content-Encoding is {0:?}; expected gzip, or no encoding")]
    UnknownEncoding(String),
    /// It is not valid gzip.
    #[error("the body is not valid gzip: {0}; compress it again")]
    BadGzip(String),
    /// The connection failed before its end.
    #[error("the body ended early: {0}")]
    Interrupted(String),
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(SMALL_BUDGET, LARGE_BUDGET)
    }
}

impl Bodies {
    fn new(small: usize, large: usize) -> Self {
        // Half of the cores: the other half is left to everything else.
        let parsing = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        Self {
            small: Arc::new(Semaphore::new(small / KIB)),
            large: Arc::new(Semaphore::new(large / KIB)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            parsing: Arc::new(Semaphore::new(parsing)),
        }
    }

    /// Reads the body of a request, at most `limit` bytes after decompression, and parses it. The reservation covers
    /// the memory of the body; the caller keeps it as long as the parsed value.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        request: Request,
        limit: usize,
        parse: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<(T, Reservation), RequestBodyError> {
        let is_gzip = is_gzip(request.headers())?;
        let body = self.read(request, limit).await?;
        if !is_gzip && body.bytes.len() <= SMALL {
            return Ok((parse(&body.bytes), body.reservation));
        }
        let place = self.waiting.try_acquire().map_err(|_| RequestBodyError::NoRoom)?;
        // The semaphore is never closed.
        let permit = Arc::clone(&self.parsing).acquire_owned().await.ok();
        drop(place);
        let bodies = self.clone();
        // What it holds is held until it has ended, also when the request is gone before.
        let parsing = tokio::task::spawn_blocking(move || {
            let body = if is_gzip {
                let mut inflated = bodies.buffer(limit);
                inflate(&body.bytes, |piece| inflated.push(piece))?;
                inflated
            } else {
                body
            };
            let parsed = parse(&body.bytes);
            drop(permit);
            Ok((parsed, body.reservation))
        });
        // It is never aborted, so its only error is a panic.
        parsing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn read(&self, request: Request, limit: usize) -> Result<Buffer, RequestBodyError> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_too_large = length.is_some_and(|length| length > limit);
        if is_too_large && request.headers().contains_key(header::EXPECT) {
            return Err(RequestBodyError::TooLarge(limit));
        }
        let mut pieces = request.into_body().into_data_stream();
        let mut buffer = self.buffer(limit);
        let refused = loop {
            if is_too_large {
                break RequestBodyError::TooLarge(limit);
            }
            match pieces.next().await {
                None => return Ok(buffer),
                Some(Err(error)) => return Err(RequestBodyError::Interrupted(error.to_string())),
                Some(Ok(piece)) => match buffer.push(&piece) {
                    Ok(()) => {}
                    Err(refused) => break refused,
                },
            }
        };
        drop(buffer);
        discard(pieces, limit).await;
        Err(refused)
    }

    fn buffer(&self, limit: usize) -> Buffer {
        let reservation = Reservation { bodies: self.clone(), small: None, large: None };
        Buffer { bytes: Vec::new(), limit, reservation }
    }
}

/// Decompresses a body piece by piece.
///
/// # Errors
/// The gzip is invalid, or `push` fails.
pub fn inflate(
    body: &[u8],
    mut push: impl FnMut(&[u8]) -> Result<(), RequestBodyError>,
) -> Result<(), RequestBodyError> {
    let mut decoder = MultiGzDecoder::new(body);
    let mut piece = vec![0; INFLATED_PIECE];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => push(&piece[..length])?,
            Err(error) => return Err(RequestBodyError::BadGzip(error.to_string())),
        }
    }
}

/// Reads the rest of a refused body, within a limit: a connection that is closed while its client sends is reset, and
/// the client never reads the response.
async fn discard(mut pieces: BodyDataStream, limit: usize) {
    let mut discarded = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        discarded += piece.len();
        if discarded > limit {
            return;
        }
    }
}

/// The bytes read of a body, and the memory reserved for them.
struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    reservation: Reservation,
}

impl Buffer {
    fn push(&mut self, piece: &[u8]) -> Result<(), RequestBodyError> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.limit {
            return Err(RequestBodyError::TooLarge(self.limit));
        }
        if needed > self.bytes.capacity() {
            let capacity =
                (2 * self.bytes.capacity()).clamp(FIRST_CAPACITY, self.limit.max(FIRST_CAPACITY)).max(needed);
            self.reservation.cover(capacity)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Memory that is reserved for a body, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    bodies: Bodies,
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Grows to this number of bytes. It never waits, because it holds memory that others may wait for.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), RequestBodyError> {
        let small = bytes.min(SMALL);
        grow(&mut self.small, &self.bodies.small, small)?;
        grow(&mut self.large, &self.bodies.large, bytes - small)
    }
}

fn grow(
    held: &mut Option<OwnedSemaphorePermit>,
    budget: &Arc<Semaphore>,
    bytes: usize,
) -> Result<(), RequestBodyError> {
    let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = bytes.div_ceil(KIB).saturating_sub(has);
    if more == 0 {
        return Ok(());
    }
    let more = u32::try_from(more).map_err(|_| RequestBodyError::NoRoom)?;
    let more = Arc::clone(budget).try_acquire_many_owned(more).map_err(|_| RequestBodyError::NoRoom)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, RequestBodyError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).into_iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => return Ok(false),
        (Some(encoding), None) => encoding,
        (Some(_), Some(_)) => return Err(RequestBodyError::UnknownEncoding("several".into())),
    };
    match encoding.to_str().map(|encoding| encoding.trim().to_ascii_lowercase()).as_deref() {
        Ok("" | "identity") => Ok(false),
        Ok("gzip" | "x-gzip") => Ok(true),
        _ => Err(RequestBodyError::UnknownEncoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned())),
    }
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(KIB * KIB) { format!("{} MiB", bytes / KIB / KIB) } else { format!("{} KiB", bytes / KIB) }
}

impl RequestBodyError {
    /// The HTTP status of the response.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadGzip(_) | Self::Interrupted(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<RequestBodyError> for Problem {
    fn from(error: RequestBodyError) -> Self {
        let detail = error.to_string();
        match error {
            RequestBodyError::TooLarge(_) => Self::too_large(detail),
            RequestBodyError::NoRoom => Self::overloaded(detail),
            RequestBodyError::UnknownEncoding(_) => Self::unsupported_media_type(detail),
            RequestBodyError::BadGzip(_) | RequestBodyError::Interrupted(_) => Self::bad_request(detail),
        }
    }
}

#[cfg(test)]
#[path = "request_body_tests.rs"]
mod tests;
