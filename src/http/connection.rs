//! One connection, from its first byte until it ends or leaves HTTP. Every wait for the client has a time limit.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::http::body_timeout::{IsLate, TimedBody};
use crate::http::caller::Caller;
use crate::http::client_address::TrustedProxies;
use crate::http::error::Problem;
use crate::http::hijack::Hijack;
use crate::http::http2_streams::{Activity, Parts, StreamExecutor};
use crate::http::protocol_peek::{HTTP2_PREFACE, Peeked, peek};
use crate::http::startup::Startup;
use crate::http::timed_stream::TimedStream;
use crate::push::disconnect::DisconnectReason;
use crate::push::io::tcp::ConnectionGuard;
use crate::push::pending::PendingConnection;

/// Time limit from the connection to a complete request head, and on HTTP/1.1 from a response to the next request
/// head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/2 connection may have no stream.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes of a request head in HTTP/1.1.
const MAX_HEAD: usize = 128 * 1024;
/// Limits of HTTP/2: bytes of request headers, concurrent streams, and bytes received and sent ahead.
const MAX_HEADERS: u32 = 16 * 1024;
const MAX_STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const MAX_SENT_AHEAD: usize = 32 * 1024;

/// What all connections share.
pub(super) struct Front {
    pub(super) router: Startup,
    pub(super) trusted: TrustedProxies,
    /// Whether clients need a token.
    pub(super) requires_token: bool,
    /// The write timeout.
    pub(super) write_timeout: Duration,
    pub(super) stop: CancellationToken,
}

/// The client of a connection.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) front: Arc<Front>,
    pub(super) address: IpAddr,
    pub(super) pending: Arc<PendingConnection>,
}

/// Serves a connection until it ends, leaves HTTP, or is closed in favour of newer ones.
pub(super) async fn run(stream: TcpStream, guard: ConnectionGuard, client: Client) {
    let (pending, deadline) = (Arc::clone(&client.pending), Instant::now() + HEAD_TIMEOUT);
    tokio::select! {
        () = serve(stream, guard, client, deadline) => {}
        () = pending.evicted() => {}
    }
}

async fn serve(stream: TcpStream, guard: ConnectionGuard, client: Client, deadline: Instant) {
    let front = Arc::clone(&client.front);
    let begun = match timeout_at(deadline, front.stop.run_until_cancelled(begin(&stream))).await {
        Ok(Some(Ok(begun))) => begun,
        // The client is gone, or the server stops.
        Ok(_) => return,
        Err(_) => return DisconnectReason::SlowRequest.count(),
    };
    let (protocol, first) = begun;
    let stream = TimedStream::new(stream, first, front.write_timeout);
    match protocol {
        Protocol::Http1 => http1(stream, guard, client, deadline).await,
        Protocol::Http2 => http2(stream, client, deadline).await,
    }
}

enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known. Returns the protocol and the bytes.
async fn begin(stream: &TcpStream) -> io::Result<(Protocol, Bytes)> {
    let (mut bytes, mut length) = ([0; HTTP2_PREFACE.len()], 0);
    loop {
        stream.readable().await?;
        match stream.try_read(&mut bytes[length..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        let first = &bytes[..length];
        match peek(first) {
            Peeked::NeedMore => {}
            Peeked::Http1 => return Ok((Protocol::Http1, Bytes::copy_from_slice(first))),
            Peeked::Http2 => return Ok((Protocol::Http2, Bytes::copy_from_slice(first))),
        }
    }
}

async fn http1(stream: TimedStream, guard: ConnectionGuard, client: Client, deadline: Instant) {
    let stop = client.front.stop.clone();
    let (take, mut taken) = oneshot::channel();
    let take = Arc::new(Mutex::new(Some(take)));
    let has_requested = Arc::new(AtomicBool::new(false));
    let requested = Arc::clone(&has_requested);
    let service = service_fn(move |request: Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        let (client, take) = (client.clone(), Arc::clone(&take));
        async move {
            let mut response = answer(client, None, request).await;
            let Some(hijack) = response.extensions_mut().remove::<Hijack>() else {
                return Ok::<_, Infallible>(response);
            };
            let (head, _) = response.into_parts();
            if let Some(take) = take.lock().take() {
                drop(take.send((hijack, Response::from_parts(head, ()))));
            }
            // The connection is taken from under this request.
            std::future::pending().await
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let (mut is_stopping, mut is_new) = (false, true);
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            Ok((hijack, head)) = &mut taken => {
                let parts = connection.into_parts();
                return hijack.run(parts.io.into_inner().into_inner(), guard, parts.read_buf, &head);
            }
            () = stop.cancelled(), if !is_stopping => {
                // The request that is under way is answered; then the connection closes.
                is_stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            () = sleep_until(deadline), if is_new => {
                is_new = false;
                if !has_requested.load(Ordering::Relaxed) {
                    return DisconnectReason::SlowRequest.count();
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn http2(stream: TimedStream, client: Client, deadline: Instant) {
    let stop = client.front.stop.clone();
    // The streams of a proxy belong to many clients.
    let subscriptions = (!client.front.trusted.contains(client.address)).then(Arc::<AtomicUsize>::default);
    let activity = Arc::<Activity>::default();
    let executor = StreamExecutor { write_timeout: client.front.write_timeout, activity: Arc::clone(&activity) };
    let service = service_fn(move |request: Request<Incoming>| {
        let answered = answer(client.clone(), subscriptions.clone(), request);
        async move { Ok::<_, Infallible>(answered.await.map(Parts::of)) }
    });
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SENT_AHEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let (mut is_stopping, mut due) = (false, deadline);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(due) => match activity.idle_at(IDLE_TIMEOUT) {
                None => return DisconnectReason::SlowRequest.count(),
                Some(idle_at) if idle_at > Instant::now() => due = idle_at,
                // It had time to take its leave.
                Some(_) if is_stopping => return,
                Some(_) => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                    due = Instant::now() + HEAD_TIMEOUT;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(client: Client, subscriptions: Option<Arc<AtomicUsize>>, request: Request<Incoming>) -> Response<Body> {
    let Client { front, address, pending } = client;
    if !front.requires_token {
        pending.remove();
    }
    let version = request.version();
    let is_late = (!request.body().is_end_stream()).then(IsLate::default);
    let mut request = request.map(|body| match &is_late {
        Some(is_late) => Body::new(TimedBody::new(body, is_late.clone())),
        None => Body::empty(),
    });
    let address = front.trusted.client(address, request.headers());
    request.extensions_mut().insert(Caller { address, pending, subscriptions });
    let response = front.router.answer(request).await;
    if is_late.is_some_and(|is_late| is_late.get()) { body_timeout(version) } else { response }
}

fn body_timeout(version: Version) -> Response<Body> {
    let detail = "the request body was not received in time; send it without pauses of 30 s, and in 60 s as a whole";
    let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT", detail).into_response();
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
